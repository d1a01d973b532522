"""A run that is killed at any moment and called again ends where an undisturbed one does."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import StoreUnavailable
from tests.ingest_corpus import stored_state, write_corpus

NUM_KILLS = 20

# Imports everything once, then forks a child for each run: what takes seconds is done before the moment to kill.
DRIVER = """
import os, sys
import rag.ingest.reading
from rag.assemble import Rag
from rag.config import Settings
from rag.ingest.file_options import FileOptions
rag.ingest.reading.BATCH_DOCUMENTS = 10  # many transactions over few documents
for line in sys.stdin:
    url, data, folder = line.split()
    child = os.fork()
    if child == 0:
        with Rag(Settings(database_url=url, data_dir=data, num_threads=2)) as service:
            service.embedders.get(service.embedders.default)
            print("ready", os.getpid(), flush=True)
            service.ingest(folder, options=FileOptions(prune=True))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("ended", status, flush=True)
"""


@dataclass(frozen=True)
class Driver:
    """A process that runs ingestions, one after the other, each in a child that can be killed."""

    process: "subprocess.Popen[str]"

    def start(self, url: str, data: Path, folder: Path) -> int:
        """Begin a run; returns the pid of its process once its models are loaded."""
        self._stream(self.process.stdin).write(f"{url} {data} {folder}\n")
        self._stream(self.process.stdin).flush()
        word, pid = self._stream(self.process.stdout).readline().split()
        assert word == "ready"
        return int(pid)

    def wait(self) -> int:
        """The exit status of the run."""
        word, status = self._stream(self.process.stdout).readline().split()
        assert word == "ended"
        return int(status)

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Driver(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    write_corpus(folder)
    return folder


def _fresh(folder: Path, migrated: Path) -> tuple[str, Path]:
    folder.mkdir()
    shutil.copy(migrated, folder / "rag.db")
    return f"sqlite:///{folder / 'rag.db'}", folder / "data"


@pytest.mark.first
@pytest.mark.slow
def test_run_killed_at_any_moment_ends_like_an_undisturbed_one(
    driver: Driver, folder: Path, migrated_sqlite_file: Path, tmp_path: Path
) -> None:
    url, data = _fresh(tmp_path / "undisturbed", migrated_sqlite_file)
    driver.start(url, data, folder)
    began = time.monotonic()
    assert driver.wait() == 0
    seconds = time.monotonic() - began
    wanted = stored_state(url, data)
    assert wanted["orphans"] == 0
    assert wanted["num_indexed"] == len(wanted["passages"]) > 70
    assert sum(is_repeated for *_, is_repeated in wanted["passages"]) == 12
    moments, num_runs, num_killed = random.Random(1), 0, 0
    while num_killed < NUM_KILLS:
        num_runs += 1
        assert num_runs <= 2 * NUM_KILLS, "the runs are over before they can be killed"
        url, data = _fresh(tmp_path / f"killed-{num_runs}", migrated_sqlite_file)
        pid = driver.start(url, data, folder)
        time.sleep(seconds * (num_killed + moments.random()) / NUM_KILLS)  # one in each twentieth of the run
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if driver.wait() == signal.SIGKILL:
            num_killed += 1
        else:
            seconds *= 0.8  # it was over before its moment came: the machine is faster than at the first run
        driver.start(url, data, folder)
        assert driver.wait() == 0
        state = stored_state(url, data)
        assert np.abs(state.pop("vectors") - wanted["vectors"]).max() < 2e-3
        assert state == {name: value for name, value in wanted.items() if name != "vectors"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_said_and_the_same_command_goes_on_when_there_is_room(
    small_disk: Path, folder: Path, migrated_sqlite_file: Path
) -> None:
    url, data = _fresh(small_disk / "db", migrated_sqlite_file)
    (small_disk / "ballast").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 300_000))
    with Rag(Settings(database_url=url, data_dir=data)) as service:
        with pytest.raises(StoreUnavailable, match="full"):
            service.ingest(folder)
        (small_disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        report = service.ingest(folder)
        assert report.num_refused == 1
        assert service.search("topic7", top_k=1)[0].source.endswith("07.txt")
        with service.database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM documents")) == 24 + 12 + 4 + 20
