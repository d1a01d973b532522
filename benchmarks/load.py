"""Many callers at once over a real server: questions, searches, uploads and deletions, for some seconds.

    python benchmarks/load.py --callers 200 --seconds 60
    python benchmarks/load.py --callers 50 --seconds 20 --kill    # kill the server halfway and start it again

The server is a process of its own on the loopback address, over a fresh SQLite database in a temporary folder, or over
``--database-url``. At the end its database is read: there was no status 500; every answered question has
one row in the log; what was acknowledged is there, after a kill as well. The exit status is 1 where that is not so.
Callers send their next request when the last has been answered; one that is refused waits as long as it is told to.
"""

import argparse
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx

from rag.store import migrate
from rag.store.database import Database

ROOT = Path(__file__).parents[1]
MIX = {"question": 0.6, "search": 0.2, "upload": 0.12, "delete": 0.08}
NUM_TOPICS = 40
START_S, REQUEST_S = 180, 60
NUM_PARTS = 8
"""Of the time, after each of which the server's memory is looked at."""
REFUSED = (429, 503)
MAX_WAIT_S = 2.0
"""A caller waits no longer than this after a refusal, whatever it is told: the load must stay on."""


@dataclass
class Caller:
    """One caller and what it saw. ``uploaded`` and ``deleted`` are the ids of documents as they were acknowledged."""

    number: int
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    answer_ids: list[int] = field(default_factory=list)
    uploaded: dict[int, str] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)
    """Documents whose deletion was sent and never answered."""
    num_lost: int = 0
    """Requests that got no response, for the server was being killed."""

    def run(self, url: str, until: float, *, seed: int) -> None:
        """Send requests until that moment of the monotonic clock."""
        chance = random.Random(seed * 10_007 + self.number)
        kinds, weights = list(MIX), list(MIX.values())
        with httpx.Client(base_url=url, timeout=REQUEST_S) as client:
            for turn in itertools.count():
                if time.monotonic() >= until:
                    return
                kind = chance.choices(kinds, weights)[0]
                self._send(client, kind, turn, chance)

    def _send(self, client: httpx.Client, kind: str, turn: int, chance: random.Random) -> None:
        mine = sorted(self.uploaded.keys() - self.deleted - self.unsure)
        document_id = chance.choice(mine) if mine else None
        if kind == "delete" and document_id is None:
            kind = "upload"
        began = time.perf_counter()
        try:
            response = self._request(client, kind, turn, chance.randrange(NUM_TOPICS), document_id)
        except httpx.TransportError:
            self.num_lost += 1
            if kind == "delete" and document_id is not None:
                self.unsure.add(document_id)
            time.sleep(0.2)
            return
        seconds = time.perf_counter() - began
        self.statuses[kind, response.status_code] += 1
        self.seconds[kind, "refused" if response.status_code in REFUSED else "done"].append(seconds)
        if response.is_success:
            self._note(kind, response, document_id)
        elif response.status_code in REFUSED:
            time.sleep(min(MAX_WAIT_S, float(response.headers.get("retry-after", 1))) * chance.uniform(0.5, 1))

    def _request(
        self, client: httpx.Client, kind: str, turn: int, topic: int, document_id: int | None
    ) -> httpx.Response:
        if kind == "question":
            return client.post("/v1/answers", json={"question": f"Who keeps the key of room {topic}?"})
        if kind == "search":
            return client.post("/v1/search", json={"query": f"key of room {topic}"})
        if kind == "delete":
            return client.delete(f"/v1/documents/{document_id}")
        words = f"Note {turn} of caller {self.number}: the meeting in room {topic} was moved to day {turn}."
        return client.post("/v1/documents", files={"file": (f"{self.number}-{turn}.txt", words.encode())})

    def _note(self, kind: str, response: httpx.Response, document_id: int | None) -> None:
        if kind == "question":
            self.answer_ids.append(response.json()["id"])
        elif kind == "upload":
            (document,) = response.json()["documents"]
            self.uploaded[document["id"]] = document["source"]
        elif kind == "delete" and document_id is not None:
            self.deleted.add(document_id)


class Server:
    """A server process that can be killed and started again at the same port."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self._arguments = ["--database-url", database_url, "--data-dir", str(data_dir)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = (data_dir / "server.log").open("ab")

    def start(self) -> None:
        """Start it and wait until it can answer."""
        command = [sys.executable, "-c", "from rag.cli.main import main; main()", *self._arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [*command, "serve", "--port", str(self._port)], env=environment, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=REQUEST_S).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        self.stop()
        raise SystemExit("The server did not come up.")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def memory_bytes(self) -> int:
        """What it holds in memory, as its metrics say."""
        for line in httpx.get(f"{self.url}/metrics", timeout=REQUEST_S).text.splitlines():
            if line.startswith("process_resident_memory_bytes "):
                return int(float(line.split()[1]))
        raise SystemExit("The server's metrics do not tell its memory.")


def fill(url: str) -> None:
    """Upload what the questions are about."""
    with httpx.Client(base_url=url, timeout=REQUEST_S) as client:
        for topic in range(NUM_TOPICS):
            words = f"# Room {topic}\n\nThe key of room {topic} is kept by person {topic} of the third floor.\n"
            client.post("/v1/documents", files={"file": (f"room-{topic}.md", words.encode())}).raise_for_status()


def press(server: Server, *, num_callers: int, seconds: float, kill: bool, seed: int) -> tuple[list[Caller], list[int]]:
    """Let the callers work; returns them, and the server's memory at the start and after each eighth of the time."""
    httpx.post(f"{server.url}/v1/answers", json={"question": "Who keeps the key of room 1?"}, timeout=REQUEST_S)
    memory, began = [server.memory_bytes()], time.monotonic()
    until = began + seconds
    callers = [Caller(number) for number in range(num_callers)]
    threads = [threading.Thread(target=c.run, args=(server.url, until), kwargs={"seed": seed}) for c in callers]
    for thread in threads:
        thread.start()
    for part in range(1, NUM_PARTS + 1):
        time.sleep(max(0.0, began + seconds * part / NUM_PARTS - time.monotonic()))
        if kill and part == NUM_PARTS // 2:
            server.kill()
            server.start()
        memory.append(server.memory_bytes())
    for thread in threads:
        thread.join(seconds + REQUEST_S)
    if any(thread.is_alive() for thread in threads):
        raise SystemExit("A caller was kept waiting without bound.")
    return callers, memory


def faults(callers: list[Caller], database: Database, *, kill: bool) -> Iterator[str]:
    """What is not as it was promised."""
    statuses = sum((caller.statuses for caller in callers), Counter[tuple[str, int]]())
    for (kind, status), number in sorted(statuses.items()):
        if status >= 400 and status not in REFUSED:
            yield f"{number} times {kind} was answered with {status}"
    lost = sum(caller.num_lost for caller in callers)
    if lost and not kill:
        yield f"{lost} requests got no response"
    logged, present = read_back(database)
    given = [answer_id for caller in callers for answer_id in caller.answer_ids]
    if len(set(given)) != len(given):
        yield "two answers had the same id"
    if missing := set(given) - logged:
        yield f"{len(missing)} answers that were given are not in the log"
    if not kill and len(logged) != len(given) + 1:  # and the one that was asked before the load
        yield f"the log has {len(logged)} rows for {len(given) + 1} answers"
    for caller in callers:
        kept = {document for document in caller.uploaded if document not in caller.deleted | caller.unsure}
        if gone := kept - present:
            yield f"{len(gone)} documents of caller {caller.number} that were acknowledged are gone"
        if back := caller.deleted & present:
            yield f"{len(back)} documents of caller {caller.number} are there although their deletion was acknowledged"


def read_back(database: Database) -> tuple[set[int], set[int]]:
    """The ids of the logged answers and of the documents that are there."""
    from rag.store.answer_review import list_answers
    from rag.store.collections import get_collection
    from rag.store.documents import list_documents

    with database.read() as session:
        answers = list_answers(session, limit=10_000_000)
        collection = get_collection(session, "default")
        documents = list_documents(session, collection.id, filters={}, limit=10_000_000)
    return {row.answer_id for row in answers}, {document.id for document in documents}


def summary(callers: list[Caller], memory: list[int], *, seconds: float) -> dict[str, object]:
    """What was measured: times in milliseconds, by kind of request and by whether it was done or refused."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for caller in callers:
        for key, values in caller.seconds.items():
            times[key] += values
    return {
        "questions_per_second": round(len(times["question", "done"]) / seconds, 1),
        "requests": {
            f"{kind} {outcome}": {
                "number": len(values),
                **{f"p{share}_ms": round(quantile(values, share / 100) * 1000, 1) for share in (50, 95, 99)},
                "max_ms": round(max(values) * 1000, 1),
            }
            for (kind, outcome), values in sorted(times.items())
            if values
        },
        "lost": sum(caller.num_lost for caller in callers),
        "memory_mb": [round(num_bytes / 1e6) for num_bytes in memory],
    }


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@contextmanager
def opened(database_url: str | None) -> Iterator[tuple[Server, Database]]:
    """A server over a migrated database in a temporary folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rag-load-")))
        url = database_url or f"sqlite:///{folder / 'rag.db'}"
        database = Database(url)
        stack.callback(database.dispose)
        migrate.upgrade(database)
        server = Server(url, folder)
        server.start()
        stack.callback(server.stop)
        yield server, database


def main() -> None:
    """Run, print what was measured as JSON, and say what was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kill", action="store_true", help="kill the server halfway and start it again")
    parser.add_argument("--database-url", help="an empty database; an SQLite file in a temporary folder if left out")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with opened(asked.database_url) as (server, database):
        fill(server.url)
        callers, memory = press(
            server, num_callers=asked.callers, seconds=asked.seconds, kill=asked.kill, seed=asked.seed
        )
        found = list(faults(callers, database, kill=asked.kill))
    print(json.dumps({**summary(callers, memory, seconds=asked.seconds), "faults": found}, indent=1))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
