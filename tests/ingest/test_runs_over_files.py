"""Runs over files: states in SQL, one run at a time, going on, other processes, moved files, and files that change."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import Busy, InvalidInput, NotFound, StoreUnavailable
from rag.ingest.file_options import FileOptions
from rag.ingest.storing import DocumentStorer, Outcome
from rag.ingest.watching import changed_files
from rag.store.collections import get_collection
from rag.store.documents import list_documents
from rag.store.runs import count_files, last_run_over_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, words in (("cat", "The cat sleeps."), ("dog", "The dog barks."), ("owl", "The owl hunts at night.")):
        (folder / f"{name}.txt").write_text(words)
    return folder


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Rag]:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path) -> Iterator[Rag]:
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


def _documents(service: Rag) -> dict[str, int]:
    """Ids by the last part of the source."""
    with service.database.read() as session:
        try:
            found = get_collection(session, "default")
        except NotFound:
            return {}
        documents = list_documents(session, found.id, filters={}, limit=10_000)
    return {document.source.rpartition("/")[2]: document.id for document in documents}


def test_state_of_every_file_is_in_sql(service: Rag, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    service.ingest(folder)
    (folder / "cat.txt").write_text("The cat eats.")
    service.ingest(folder)
    with service.database.read() as session:
        run = last_run_over_files(session, get_collection(session, "default").id)
        assert (run.status, run.counts.num_updated, run.counts.num_unchanged) == ("finished", 1, 2)
        assert count_files(session, run.id) == {"read": 1, "refused": 1, "unchanged": 2}
        # Those of the run before are gone: the table says how the collection's files are, not what once was.
        rows = session.execute(text("SELECT run_id, file, status, num_documents, reason FROM ingestion_files")).all()
    states = {row.file.rpartition("/")[2]: row for row in rows}
    assert (len(rows), {row.run_id for row in rows}) == (4, {run.id})
    assert (states["broken.pdf"].status, states["broken.pdf"].num_documents) == ("refused", 0)
    assert states["broken.pdf"].reason
    assert (states["cat.txt"].status, states["cat.txt"].num_documents, states["cat.txt"].reason) == ("read", 1, None)


def test_run_that_did_not_finish_is_resumed_as_it_was_called(service: Rag, folder: Path) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.ingest(folder, options=FileOptions(tags={"team": "ops"}, origin="synthetic"), on_progress=stop)
    with service.database.read() as session:
        run = last_run_over_files(session, get_collection(session, "default").id)
    assert run.status == "interrupted"
    report = service.resume_ingestion()
    assert report.num_added + report.num_unchanged == 3
    assert service.search("cat", filters={"team": "ops", "origin": "synthetic"}, top_k=1)
    with pytest.raises(InvalidInput, match="has finished"):
        service.resume_ingestion()


def test_nothing_to_resume_is_said(local: Rag) -> None:
    with pytest.raises(NotFound):
        local.resume_ingestion(collection="none")


def test_second_run_over_a_collection_waits_or_says_so(service: Rag, folder: Path) -> None:
    inside, go_on, waited = threading.Event(), threading.Event(), threading.Event()

    def hold(_: object) -> None:
        inside.set()
        assert go_on.wait(60)

    first = threading.Thread(target=lambda: service.ingest(folder, on_progress=hold))
    first.start()
    try:
        assert inside.wait(60)
        with pytest.raises(Busy, match="Another process is at work"):
            service.ingest(folder, wait=False)
        second: list[object] = []
        thread = threading.Thread(target=lambda: second.append(service.ingest(folder, on_wait=waited.set)))
        thread.start()
        assert waited.wait(60)
    finally:
        go_on.set()
        first.join()
    thread.join()
    assert second[0].num_unchanged == 3  # type: ignore[attr-defined]
    assert len(_documents(service)) == 3


def test_moved_file_keeps_its_document(service: Rag, folder: Path) -> None:
    service.ingest(folder)
    before = _documents(service)
    (folder / "animals").mkdir()
    (folder / "cat.txt").rename(folder / "animals" / "tom.txt")
    report = service.ingest(folder, options=FileOptions(prune=True))
    assert (report.num_moved, report.num_added, report.num_removed, report.num_passages) == (1, 0, 0, 0)
    after = _documents(service)
    assert after["tom.txt"] == before["cat.txt"]
    assert "cat.txt" not in after
    (hit,) = service.search("cat sleeps", top_k=1)
    assert hit.source.endswith("/animals/tom.txt")
    assert hit.title == "tom"


def test_copied_file_is_a_duplicate_and_moves_nothing(local: Rag, folder: Path) -> None:
    local.ingest(folder)
    (folder / "copy.txt").write_text((folder / "cat.txt").read_text())
    report = local.ingest(folder)
    assert (report.num_moved, report.num_exact_duplicates) == (0, 1)


def test_archive_that_was_moved_keeps_its_documents(local: Rag, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "The fox is red.")
        archive.writestr("y.txt", "The crow is black.")
    local.ingest(tmp_path / "a.zip")
    before = set(_documents(local).values())
    (tmp_path / "a.zip").rename(tmp_path / "b.zip")
    assert local.ingest(tmp_path / "b.zip").num_moved == 2
    assert set(_documents(local).values()) == before


def test_files_read_by_other_processes_give_the_same(local: Rag, folder: Path) -> None:
    for number in range(20):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\nNote {number} is about {number * 3}.")
    (folder / "rows.jsonl").write_text('{"text": "Good row."}\nnot json\n')
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    alone = local.ingest(folder, collection="alone")
    together = local.ingest(folder, options=FileOptions(workers=2), collection="together")
    for one, other in ((alone, together),):
        assert (one.num_added, one.num_refused, one.num_passages) == (
            other.num_added,
            other.num_refused,
            other.num_passages,
        )
        assert one.refused == other.refused
    hits = [[hit.text for hit in local.search("note 7", collection=name, top_k=5)] for name in ("alone", "together")]
    assert hits[0] == hits[1]


def test_database_locked_by_another_writer_fails_and_nothing_is_lost(
    sqlite_url: str, folder: Path, tmp_path: Path
) -> None:
    import sqlite3

    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as service:
        service.ingest(folder)
        (folder / "fox.txt").write_text("The fox is red.")
        service.database._busy_timeout = 0.2
        service.database._engine = service.database._create_engine()
        service.database._writer = service.database._engine.execution_options(rag_writer=True)
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            service.ingest(folder)
        other.execute("ROLLBACK")
        other.close()
        assert len(_documents(service)) == 3
        assert service.ingest(folder).num_added == 1


def test_changes_of_files_are_told(folder: Path) -> None:
    told: list[tuple[list[Path], list[Path]]] = []
    stop, watching = threading.Event(), threading.Event()

    def watch() -> None:
        watching.set()
        for changes in changed_files([folder], stop=stop):
            told.append(changes)

    thread = threading.Thread(target=watch)
    thread.start()
    watching.wait()
    time.sleep(1)
    (folder / "fox.txt").write_text("The fox is red.")
    (folder / ".hidden").write_text("not this")
    (folder / "cat.txt").unlink()
    deadline = time.monotonic() + 60
    wanted = ({folder / "fox.txt"}, {folder / "cat.txt"})
    while time.monotonic() < deadline:
        seen = ({p for changed, _ in told for p in changed}, {p for _, gone in told for p in gone})
        if seen == wanted:
            break
        time.sleep(0.1)
    stop.set()
    thread.join()
    assert seen == wanted


@pytest.mark.slow
def test_watching_command_reads_what_comes_and_drops_what_goes(
    sqlite_url: str, local: Rag, folder: Path, tmp_path: Path
) -> None:
    code = "from rag.cli.main import main; main()"
    environment = {**os.environ, "RAG_DATABASE_URL": sqlite_url, "RAG_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen(
        [sys.executable, "-c", code, "ingest", str(folder), "--watch"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            while "watching" not in process.stderr.readline():
                assert process.poll() is None
            time.sleep(2)
            (folder / "fox.txt").write_text("The fox is red.")
            (folder / "cat.txt").unlink()
            deadline = time.monotonic() + 120
            while set(_documents(local)) != {"dog.txt", "owl.txt", "fox.txt"}:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            process.kill()


@pytest.fixture
def seen(service: Rag, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents others see, each time that one is about to be stored."""
    seen, store = [], DocumentStorer.store

    def watched(*arguments: Any, **options: Any) -> Outcome:
        seen.append(len(_documents(service)))
        return store(*arguments, **options)

    monkeypatch.setattr(DocumentStorer, "store", watched)
    return seen


@pytest.mark.parametrize(("max_s", "wanted"), [(0.0, [0, 1, 2]), (60.0, [0, 0, 0])])
def test_batch_that_takes_long_is_stored_in_several_transactions(
    service: Rag, folder: Path, seen: list[int], monkeypatch: pytest.MonkeyPatch, max_s: float, wanted: list[int]
) -> None:
    """So that others who write wait for a part of it only."""
    monkeypatch.setattr("rag.ingest.run.MAX_WRITING_S", max_s)
    assert service.ingest(folder).num_added == 3
    assert seen == wanted
    assert service.ingest(folder).num_unchanged == 3
    assert len(seen) == 3  # all files bear their hash, so nothing was read anew


def test_what_leaves_its_place_comes_to_another_in_one_transaction(
    service: Rag, tmp_path: Path, seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.ingest.run.MAX_WRITING_S", 0.0)
    rows = tmp_path / "rows.jsonl"
    lines = [f'{{"text": "The {animal}"}}\n' for animal in ("ant digs.", "bee flies.", "cod swims.")]
    rows.write_text("".join(lines))
    assert service.ingest(rows).num_added == 3
    rows.write_text("".join(lines[1:]))  # what is left has other numbers now
    assert service.ingest(rows).num_removed == 1
    assert seen == [0, 1, 2, 3, 3]
    assert len(_documents(service)) == 2
