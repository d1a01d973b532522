"""Large uploads are answered before they are worked on, and can be followed."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.ingest.uploads import MAX_ATTEMPTS
from rag.store.runs import RunCounts, finish_run, start_run

Check = Callable[..., str]
SUPPORT = "# Support\n\nThe support rota is kept by Amara Diallo.\n"
LATER = {"Prefer": "respond-async"}


def send(server: TestClient, name: str, content: str, *, collection: str = "default", **headers: str) -> Response:
    form = {"collection": collection}
    return server.post("/v1/documents", files={"file": (name, content.encode())}, data=form, headers=headers)


def wait_for(server: TestClient, run: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """The run once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = server.get(f"/v1/ingestion-runs/{run['id']}").json()
        if run["finished_at"] is not None:
            return run
        time.sleep(0.05)
    raise AssertionError(f"not done: {run}")


@pytest.fixture
def idle(service: Rag, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A server whose worker does nothing, as if it were always busy."""
    monkeypatch.setattr("rag.api.upload_worker.UploadWorker.start", lambda _: None)
    with TestClient(create_app(service=service)) as client:
        yield client


def test_upload_is_accepted_followed_and_found(server: TestClient) -> None:
    response = send(server, "support.md", SUPPORT, Prefer="wait=5, respond-async")
    assert response.status_code == 202
    run = response.json()
    assert response.headers["location"] == f"/v1/ingestion-runs/{run['id']}"
    assert response.headers["preference-applied"] == "respond-async"
    assert (run["collection"], run["paths"]) == ("default", ["upload:support.md"])
    done = wait_for(server, run)
    assert (done["status"], done["num_added"], done["num_refused"]) == ("finished", 1, 0)
    assert server.post("/v1/search", json={"query": "support rota"}).json()["hits"][0]["source"] == "upload:support.md"
    assert server.get("/v1/ingestion-runs").json()["runs"] == [done]


def test_upload_above_the_limit_is_worked_on_later(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"background_upload_bytes": 10}))) as server:
        assert send(server, "small.txt", "ten bytes.").status_code == 201
        assert send(server, "large.txt", "Eleven bytes").status_code == 202


def test_events_tell_of_each_change_and_end(server: TestClient) -> None:
    run = send(server, "support.md", SUPPORT, **LATER).json()
    with server.stream("GET", f"/v1/ingestion-runs/{run['id']}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line.startswith(("event:", "data:"))]
    assert set(lines[::2]) == {"event: run"}
    seen = [json.loads(line.removeprefix("data:")) for line in lines[1::2]]
    assert seen[-1] == server.get(f"/v1/ingestion-runs/{run['id']}").json()
    assert seen[-1]["status"] == "finished"
    again = server.get(f"/v1/ingestion-runs/{run['id']}/events").text
    assert again.count("event: run") == 1


def test_refused_file_says_why_in_its_run(server: TestClient) -> None:
    run = wait_for(server, send(server, "broken.pdf", "%PDF-1.7 nothing", **LATER).json())
    assert (run["status"], run["num_refused"]) == ("finished", 1)
    (failure,) = server.get(f"/v1/ingestion-runs/{run['id']}/failures").json()["failures"]
    assert failure["source"] == "upload:broken.pdf"
    assert "damaged" in failure["reason"]


def test_unknown_run_is_not_found_before_a_stream_begins(server: TestClient, check_problem: Check) -> None:
    for path in ("/v1/ingestion-runs/9", "/v1/ingestion-runs/9/events", "/v1/ingestion-runs/9/failures"):
        assert "run 9" in check_problem(server.get(path), 404, "not-found")


def test_what_waits_is_worked_on_by_the_next_server(idle: TestClient, settings: Settings, service: Rag) -> None:
    run = send(idle, "../../support.md", SUPPORT, **LATER).json()
    assert run["status"] == "waiting"
    (spooled,) = settings.spool_dir.glob("*.upload")
    assert spooled.read_text() == SUPPORT
    assert "support" not in spooled.name
    assert service.uploads.work()
    assert not service.uploads.work()
    assert idle.get(f"/v1/ingestion-runs/{run['id']}").json()["status"] == "finished"
    assert not list(settings.spool_dir.glob("*.upload*"))


def test_file_that_ends_the_server_each_time_is_given_up(idle: TestClient, service: Rag, monkeypatch: Any) -> None:
    run = send(idle, "support.md", SUPPORT, **LATER).json()

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(service.ingester, "go_on_upload", die)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(Killed):
                service.uploads.work()
            assert idle.get(f"/v1/ingestion-runs/{run['id']}").json()["status"] == "running"
    assert service.uploads.work()
    assert idle.get(f"/v1/ingestion-runs/{run['id']}").json()["status"] == "failed"
    (failure,) = idle.get(f"/v1/ingestion-runs/{run['id']}/failures").json()["failures"]
    assert "ended 3 times" in failure["reason"]


@pytest.mark.parametrize(("damage", "words"), [("remove", "cannot be read"), ("change", "was changed")])
def test_file_that_was_tampered_with_fails_its_run(
    idle: TestClient, settings: Settings, service: Rag, damage: str, words: str
) -> None:
    run = send(idle, "support.md", SUPPORT, **LATER).json()
    (spooled,) = settings.spool_dir.glob("*.upload")
    spooled.unlink() if damage == "remove" else spooled.write_text("other")
    assert service.uploads.work()
    assert idle.get(f"/v1/ingestion-runs/{run['id']}").json()["status"] == "failed"
    (failure,) = idle.get(f"/v1/ingestion-runs/{run['id']}/failures").json()["failures"]
    assert words in failure["reason"]


def test_leftovers_are_removed_and_waiting_files_are_not(
    idle: TestClient, settings: Settings, service: Rag, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(idle, "support.md", SUPPORT, **LATER)
    (waiting,) = settings.spool_dir.glob("*.upload")
    leftovers = [settings.spool_dir / name for name in ("a.upload", "b.upload.part")]
    for path in leftovers:
        path.touch()
    service.uploads.remove_leftovers()
    assert all(path.exists() for path in leftovers)  # they may be about to be committed
    monkeypatch.setattr("rag.ingest.uploads.LEFTOVER_S", -1.0)
    service.uploads.remove_leftovers()
    assert sorted(settings.spool_dir.glob("*.upload*")) == [waiting]


def test_full_disk_is_told_and_leaves_nothing(settings: Settings, idle: TestClient) -> None:
    settings.spool_dir.parent.mkdir(parents=True, exist_ok=True)
    settings.spool_dir.write_text("in the way")
    response = send(idle, "support.md", SUPPORT, **LATER)
    assert response.status_code == 503
    assert "data_dir" in response.json()["detail"]
    assert idle.get("/v1/ingestion-runs").json()["runs"] == []


def test_runs_are_for_those_who_see_everything_but_for_those_of_the_same_labels(
    settings: Settings, service: Rag, check_problem: Check
) -> None:
    collection = service.ingester._open("default")
    with service.database.write() as session:
        other = start_run(session, collection.id, paths=["/secret"])
        finish_run(session, other, status="finished", counts=RunCounts())
    limited = settings.model_copy(update={"access_labels": ("hr",)})
    with TestClient(create_app(limited)) as server:
        run = wait_for(server, send(server, "support.md", SUPPORT, **LATER).json())
        assert server.get("/v1/ingestion-runs").json()["runs"] == [run]
        check_problem(server.get(f"/v1/ingestion-runs/{other}"), 404, "not-found")
        check_problem(server.get(f"/v1/ingestion-runs/{other}/events"), 404, "not-found")
    with TestClient(create_app(settings.model_copy(update={"access_labels": ("it",)}))) as server:
        assert server.get("/v1/ingestion-runs").json()["runs"] == []


def test_runs_are_for_contributors_of_their_collection(
    closed: Callable[..., TestClient], service: Rag, check_problem: Check
) -> None:
    service.ingester._open("default")
    contributor = closed("contributor", collections=("handbook",))
    run = send(contributor, "support.md", SUPPORT, collection="handbook", **LATER).json()
    assert [one["id"] for one in contributor.get("/v1/ingestion-runs").json()["runs"]] == [run["id"]]
    check_problem(closed("reader").get("/v1/ingestion-runs"), 403, "not-allowed")
    elsewhere = closed("contributor", collections=("default",))
    assert elsewhere.get("/v1/ingestion-runs").json()["runs"] == []
    for path in ("", "/failures", "/events"):
        check_problem(elsewhere.get(f"/v1/ingestion-runs/{run['id']}{path}"), 404, "not-found")
    check_problem(elsewhere.get("/v1/ingestion-runs", params={"collection": "handbook"}), 404, "not-found")
    check_problem(send(elsewhere, "support.md", SUPPORT, collection="handbook", **LATER), 403, "not-allowed")
