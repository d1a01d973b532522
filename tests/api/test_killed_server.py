"""A real server that is killed: what it had acknowledged is there after the next start."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

ROOT = Path(__file__).parents[2]
NUM_UPLOADS = 4


@contextmanager
def serving(url: str, data_dir: Path) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """A server process of its own and a client of it; killed at the end if it is still there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from rag.cli.main import main; main()"
    arguments = ["--database-url", url, "--data-dir", str(data_dir), "serve", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAG_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", command, *arguments], env=environment, cwd=data_dir)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_up(client, process)
            yield client, process
    finally:
        process.kill()
        process.wait()


def _wait_until_up(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.get("/healthz")
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not come up")


@pytest.mark.slow
def test_uploads_that_were_acknowledged_are_worked_on_after_a_kill(sqlite_url: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with serving(sqlite_url, data_dir) as (client, process):
        runs = [_send(client, number) for number in range(NUM_UPLOADS)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(sqlite_url, data_dir) as (client, _):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = [client.get(f"/v1/ingestion-runs/{run}").json() for run in runs]
            if all(run["finished_at"] for run in found):
                break
            time.sleep(0.2)
        assert [run["status"] for run in found] == ["finished"] * NUM_UPLOADS
        documents = client.get("/v1/documents").json()["documents"]
        assert [(document["source"], document["version"]) for document in documents] == [
            (f"upload:{number}.txt", 1) for number in range(NUM_UPLOADS)
        ]
        assert client.post("/v1/search", json={"query": "room 3"}).json()["hits"]
    assert not list((data_dir / "uploads").glob("*.upload*"))


def _send(client: httpx.Client, number: int) -> int:
    words = f"Room {number} is kept by person {number}. " * 50
    response = client.post(
        "/v1/documents", files={"file": (f"{number}.txt", words.encode())}, headers={"Prefer": "respond-async"}
    )
    assert response.status_code == 202
    run_id: int = response.json()["id"]
    return run_id
