"""`rag` in processes of its own, which know nothing but the settings that they are given."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-c", "from rag.cli.main import main; main()")


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that has these settings and none of the tests' own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    return kept | {"PYTHONPATH": str(ROOT)} | {f"RAG_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def serving(settings: Mapping[str, str], folder: Path) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """A server that works in the folder, and a client of it, once it is ready; killed at the end if it still runs."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment_of(settings), cwd=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_ready(client, process)
            yield client, process
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the server did not come up")
