"""What must be known of a training run to do it again: settings, data, code and machine."""

import hashlib
import json
import os
import platform
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from rag.errors import InvalidInput
from rag.store.training_runs import DataFile, TrainingRunStart

PACKAGE = Path(__file__).parents[1]
KEY_FILE = "run.json"


def describe_run(
    folder: Path,
    *,
    kind: str,
    num_steps: int,
    seed: int,
    settings: Mapping[str, Any],
    data: Sequence[Path],
    dtype: str = "float32",
    device: str = "cpu",
) -> TrainingRunStart:
    """Describe the run in ``folder``, which keeps the key that tells it from all others.

    Args:
        folder: where the run's checkpoints are; made if it is missing.
        kind: what is trained, such as ``reader``.
        num_steps: of the optimiser, in the whole run.
        seed: of everything random.
        settings: every other setting, as JSON.
        data: the files that the run learns from; they are hashed.
        dtype: of matrix products.
        device: where they are computed.

    Raises:
        InvalidInput: a data file or the folder's key cannot be read.
    """
    return TrainingRunStart(
        run_key=_run_key(folder),
        kind=kind,
        folder=str(folder),
        num_steps=num_steps,
        seed=seed,
        settings=settings,
        data_files=[describe_file(path) for path in data],
        code_version=code_version(),
        machine={**describe_machine(), "dtype": dtype, "device": device},
    )


def describe_file(path: Path) -> DataFile:
    """Size and SHA-256 of a file.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return DataFile(path=str(path), sha256=digest, num_bytes=os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.") from error


def describe_machine() -> dict[str, Any]:
    """What computes: processor, cores, threads, and the versions of what runs on it."""
    return {
        "processor": _processor(),
        "num_cores": os.cpu_count(),
        "num_threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def code_version() -> str:
    """The version of this package; in a checkout followed by the commit, and ``-dirty`` if files differ from it."""
    released = version("grounded-rag")
    if not (PACKAGE.parent / ".git").exists():
        return released
    command = ["git", "-C", str(PACKAGE.parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git here, or a repository that it does not trust
        return released
    return f"{released}+{described.stdout.strip()}"


def _run_key(folder: Path) -> str:
    path = folder / KEY_FILE
    try:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"run_key": uuid.uuid4().hex}) + "\n", encoding="utf-8")
        key = json.loads(path.read_text(encoding="utf-8"))["run_key"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} does not hold the key of a run; remove it, or choose another folder.") from error
    if not isinstance(key, str):
        raise InvalidInput(f"{path} does not hold the key of a run; remove it, or choose another folder.")
    return key


def _processor() -> str:
    """The processor's own name; Python knows it on few systems."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
