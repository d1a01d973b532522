"""A real server that is killed: what it had acknowledged is there after the next start."""

import signal
import time
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.server_process import serving
from tests.storage import Storage

NUM_UPLOADS = 4
ONE_THREAD = {"num_threads": "1"}


@pytest.mark.slow
def test_uploads_that_were_acknowledged_are_worked_on_after_a_kill(storage: Storage, tmp_path: Path) -> None:
    settings, folder = storage | ONE_THREAD, tmp_path / "server"
    with serving(settings, folder) as (client, process):
        runs = [_send(client, number) for number in range(NUM_UPLOADS)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(settings, folder) as (client, _):
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
    assert not list((folder / "rag-data/uploads").glob("*.upload*"))


def _send(client: httpx.Client, number: int) -> int:
    words = f"Room {number} is kept by person {number}. " * 50
    response = client.post(
        "/v1/documents", files={"file": (f"{number}.txt", words.encode())}, headers={"Prefer": "respond-async"}
    )
    assert response.status_code == 202
    run_id: int = response.json()["id"]
    return run_id
