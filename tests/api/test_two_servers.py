"""Two servers and an ingestion at once, three processes that share nothing but a PostgreSQL database that searches."""

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.server_process import COMMAND, environment_of, serving

NUM_ROOMS = 300  # several batches, so that there is something between none and all of them
PLACES = ("behind the door", "in the blue drawer", "under the lamp", "at the reception", "beside the window")
QUESTIONS = ("Who keeps room 7?", "Who has the key of room 41?", "Where does the key of room 123 hang?")


class Caller:
    """Searches and asks at a server without end, and keeps what it was given and what failed."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.answer_ids, self.failures = list[int](), list[str]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _call(self) -> None:
        for question in itertools.cycle(QUESTIONS):
            try:
                self._client.post("/v1/search", json={"query": question}).raise_for_status()
                answer = self._client.post("/v1/answers", json={"question": question}).raise_for_status()
                self.answer_ids.append(answer.json()["id"])
            except httpx.HTTPError as error:
                self.failures.append(str(error))
            if self._stop.wait(0.3):
                return


@pytest.fixture
def shared(postgres_search_url: str) -> Mapping[str, str]:
    """The settings of all three."""
    return {"database_url": postgres_search_url, "search": "postgres", "num_threads": "1"}


@pytest.fixture
def servers(shared: Mapping[str, str], tmp_path: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with serving(shared, tmp_path / "one") as (one, _), serving(shared, tmp_path / "two") as (two, _):
        # The collection is there before anybody asks.
        one.post("/v1/documents", files={"file": ("room0.txt", room(0).encode())}).raise_for_status()
        yield one, two


def room(number: int) -> str:
    """What is written of a room; no two are alike."""
    place = PLACES[number % len(PLACES)]
    return f"Room {number} is kept by Keeper{number}. The key of room {number} hangs {place} on hook {number * 37}."


@pytest.mark.slow
def test_two_servers_and_an_ingestion_share_everything_at_once(
    servers: tuple[httpx.Client, httpx.Client], shared: Mapping[str, str], tmp_path: Path
) -> None:
    one, two = servers
    rooms = tmp_path / "rooms.jsonl"
    rooms.write_text("".join(json.dumps({"text": room(number)}) + "\n" for number in range(1, NUM_ROOMS)))
    command = [*COMMAND, "ingest", str(rooms), "--text-field", "text", "--json"]
    seen = set[int]()
    with (
        Caller(one) as of_one,
        Caller(two) as of_two,
        ThreadPoolExecutor(1) as checks,
        subprocess.Popen(command, env=environment_of(shared), cwd=tmp_path, stdout=subprocess.PIPE) as ingestion,
    ):
        checked = checks.submit(check_until_ended, ingestion, one, two)
        while ingestion.poll() is None:
            seen.add(num_documents(one))
            time.sleep(0.1)
        assert json.loads(ingestion.communicate()[0])["num_added"] == NUM_ROOMS - 1
        assert checked.result()
    assert of_one.failures == of_two.failures == []
    # It was watched at work. A room more than there are: a note that the checks put in and take out.
    assert any(2 < num < NUM_ROOMS for num in seen), seen

    check_alike(one, two)
    check_log(one, two, of_one, of_two)
    check_nothing_doubled(one, shared, tmp_path)


def check_until_ended(ingestion: subprocess.Popen[bytes], one: httpx.Client, two: httpx.Client) -> int:
    """Check again and again; returns how often."""
    num_checks = 0
    while ingestion.poll() is None:
        check_meanwhile(one, two)
        num_checks += 1
    return num_checks


def check_meanwhile(one: httpx.Client, two: httpx.Client) -> None:
    """What is committed is found and what is deleted is not, at both servers."""
    num_rooms = num_documents(one)
    for server in (one, two):
        assert f"Keeper{num_rooms - 1}" in " ".join(found(server, f"Keeper{num_rooms - 1}"))
    with ThreadPoolExecutor(2) as pool:  # the same file at once: one of the two stores it
        sent = [pool.submit(upload, server, "note.txt", "The umbrella is Zanzibar green.") for server in (one, two)]
    (note,) = {future.result() for future in sent}
    assert found(one, "Zanzibar") == found(two, "Zanzibar") == ["The umbrella is Zanzibar green."]
    assert two.delete(f"/v1/documents/{note}").status_code == 204
    assert found(one, "Zanzibar") == found(two, "Zanzibar") == []


def num_documents(server: httpx.Client) -> int:
    (collection,) = server.get("/v1/collections").json()["collections"]
    number: int = collection["num_documents"]
    return number


def found(server: httpx.Client, words: str) -> list[str]:
    """The passages that have the words."""
    response = server.post("/v1/search", json={"query": words, "mode": "keyword"}).raise_for_status()
    return [hit["text"] for hit in response.json()["hits"]]


def upload(server: httpx.Client, name: str, words: str) -> int:
    response = server.post("/v1/documents", files={"file": (name, words.encode())}).raise_for_status()
    (document,) = response.json()["documents"]
    document_id: int = document["id"]
    return document_id


def check_alike(one: httpx.Client, two: httpx.Client) -> None:
    """Both find the same passages with the same scores, and read the same answers from them."""
    answers = []
    for question in QUESTIONS:
        for mode in ("hybrid", "keyword", "vector"):
            body = {"query": question, "mode": mode}
            assert one.post("/v1/search", json=body).json() == two.post("/v1/search", json=body).json()
        told = [server.post("/v1/answers", json={"question": question}).json() for server in (one, two)]
        first, second = ({name: answer[name] for name in ("answer", "citations", "passages")} for answer in told)
        assert first == second
        answers.append(first["answer"])
    assert any(answers)


def check_log(one: httpx.Client, two: httpx.Client, of_one: Caller, of_two: Caller) -> None:
    """Every answer that was given is in the log once, whichever server gave it, and both show the same log."""
    assert of_one.answer_ids
    assert of_two.answer_ids
    logs = [[row["answer_id"] for row in all_of(server, "/v1/answers", "answers")] for server in (one, two)]
    assert logs[0] == logs[1]
    # What was asked to compare the servers came last.
    assert sorted(logs[0])[: -2 * len(QUESTIONS)] == sorted(of_one.answer_ids + of_two.answer_ids)


def check_nothing_doubled(server: httpx.Client, settings: Mapping[str, str], folder: Path) -> None:
    """A document and a passage for each room, and words and vectors in the search for each passage."""
    sources = [document["source"] for document in all_of(server, "/v1/documents", "documents")]
    assert len(set(sources)) == len(sources) == NUM_ROOMS
    command = [*COMMAND, "index", "verify", "--json"]
    done = subprocess.run(
        command, env=environment_of(settings), cwd=folder, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (verified,) = json.loads(done.stdout)["indexes"]
    assert (verified["passages_in_sql"], verified["passages_in_index"]) == (NUM_ROOMS, NUM_ROOMS)
    assert (verified["good"], verified["problem"]) == (True, None)


def all_of(server: httpx.Client, path: str, name: str) -> list[dict[str, Any]]:
    """A list over all its pages."""
    rows, cursor = list[dict[str, Any]](), ""
    while cursor is not None:
        page = server.get(path, params={"limit": 100, "cursor": cursor}).raise_for_status().json()
        rows, cursor = rows + page[name], page["next"]
    return rows
