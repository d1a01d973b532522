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
from typing import IO, Any

import numpy as np
import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import StoreUnavailable
from rag.records import SearchMode, SearchOptions

NUM_KILLS = 20
WORDS = "the of a rota kept in office by team every week with paper and tea for two hours until late autumn"
NOTICE = "This common footer stands in many documents and says that " + "nothing may be copied " * 12 + "by anybody."
MODES: tuple[SearchMode, ...] = ("hybrid", "keyword", "vector")
QUERIES = ("topic7 word7", "Who keeps the rota?", "policy 2024", "row 12", "common footer")

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
    """Documents of several batches: plain ones, exact and near duplicates, many rows in one file, a broken file.

    They are many and short: it is between the transactions that a kill may do harm, and embedding is what takes long.
    """
    folder = tmp_path_factory.mktemp("docs")
    words, known = random.Random(0), WORDS.split()
    base = " ".join(words.choices(known, k=150))
    for number in range(24):
        body = " ".join([f"word{number}", *words.choices(known, k=30)])
        (folder / f"{number:02}.txt").write_text(f"Document {number} speaks of topic{number}. {body}")
    for number in range(12):
        own = " ".join([f"n{number}", *words.choices(known, k=30)])
        (folder / f"notice{number:02}.md").write_text(f"# Notice {number}\n\n## Own\n\n{own}\n\n## Legal\n\n{NOTICE}\n")
    (folder / "copy.txt").write_text((folder / "07.txt").read_text())
    (folder / "rota.md").write_text(f"# Rota\n\nThe rota is kept by Amara. Policy 2024. {base}")
    (folder / "rota2.md").write_text(f"# Rota\n\nThe rota is kept by Amara. Policy 2025. {base}")
    (folder / "rows.csv").write_text("name,value\n" + "".join(f"row {n},{n * n}\n" for n in range(20)))
    (folder / "lines.jsonl").write_text("".join(f'{{"text": "Line {n} says hello to n{n}."}}\n' for n in range(20)))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    return folder


def _state(url: str, data: Path) -> dict[str, Any]:
    """All that people can see of a collection, without ids and times."""
    with Rag(Settings(database_url=url, data_dir=data)) as service:
        with service.database.read() as session:
            documents = session.execute(
                text(
                    "SELECT d.source, d.file, d.file_sha256, d.title, d.text_sha256, d.version, o.source, n.source, "
                    "(SELECT count(*) FROM document_versions v WHERE v.document_id = d.id) FROM documents d "
                    "LEFT JOIN documents o ON o.id = d.duplicate_of "
                    "LEFT JOIN documents n ON n.id = d.near_duplicate_of "
                    "WHERE d.deleted_at IS NULL ORDER BY d.source"
                )
            ).all()
            passages = session.execute(
                text(
                    "SELECT d.source, p.ordinal, p.start_char, p.end_char, p.text, p.is_repeated, e.vector "
                    "FROM passages p JOIN documents d ON d.id = p.document_id "
                    "JOIN passage_embeddings e ON e.passage_id = p.id "
                    "ORDER BY d.source, p.ordinal"
                )
            ).all()
            orphans = session.scalar(
                text("SELECT count(*) FROM passage_embeddings WHERE passage_id NOT IN (SELECT id FROM passages)")
            )
        index = service.indexes.get(service.collection("default"))
        found = {
            (query, mode): [
                (hit.source, hit.text) for hit in service.search(query, options=SearchOptions(mode=mode), top_k=8)
            ]
            for query in QUERIES
            for mode in MODES
        }
        return {
            "documents": [tuple(row) for row in documents],
            "passages": [tuple(row[:-1]) for row in passages],
            "vectors": np.array([np.frombuffer(row.vector, dtype="<f2") for row in passages], dtype=np.float32),
            "orphans": orphans,
            "num_indexed": len(index),
            "found": found,
        }


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
    wanted = _state(url, data)
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
        state = _state(url, data)
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
