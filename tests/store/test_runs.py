"""Ingestion runs and what they refused."""

from typing import Any

import pytest

from rag.errors import NotFound
from rag.store.runs import (
    RunCounts,
    add_failure,
    finish_run,
    get_run,
    list_failures,
    list_runs,
    mark_interrupted,
    start_run,
)


def test_run_is_running_until_it_has_finished(library: Any) -> None:
    counts = RunCounts(num_added=3, num_refused=1, num_passages=40)
    with library.database.write() as session:
        run_id = start_run(session, library.collection_id, paths=["docs", "notes.txt"])
    with library.database.read() as session:
        run = get_run(session, run_id)
        assert (run.status, run.finished_at, run.paths, run.counts) == (
            "running",
            None,
            ("docs", "notes.txt"),
            RunCounts(),
        )
    with library.database.write() as session:
        finish_run(session, run_id, status="finished", counts=counts)
    with library.database.read() as session:
        run = get_run(session, run_id)
    assert (run.status, run.counts) == ("finished", counts)
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at


def test_failures_keep_their_order(library: Any) -> None:
    with library.database.write() as session:
        run_id = start_run(session, library.collection_id, paths=[])
        add_failure(session, run_id, source="b.pdf", reason="The file is empty.")
        add_failure(session, run_id, source="a.pdf", reason="It is encrypted.")
        failures = list_failures(session, run_id)
    assert [(failure.source, failure.reason) for failure in failures] == [
        ("b.pdf", "The file is empty."),
        ("a.pdf", "It is encrypted."),
    ]


def test_runs_are_listed_newest_first(library: Any) -> None:
    with library.database.write() as session:
        ids = [start_run(session, library.collection_id, paths=[]) for _ in range(3)]
        assert [run.id for run in list_runs(session)] == ids[::-1]
        assert [run.id for run in list_runs(session, limit=1, before_id=ids[2])] == [ids[1]]
        assert list_runs(session, collection_id=99) == []
        assert len(list_runs(session, collection_id=library.collection_id)) == 3


def test_runs_that_were_killed_are_closed(library: Any) -> None:
    with library.database.write() as session:
        killed, done = (start_run(session, library.collection_id, paths=[], options={}) for _ in range(2))
        uploading = start_run(session, library.collection_id, paths=[])
        finish_run(session, done, status="failed", counts=RunCounts())
        assert mark_interrupted(session, 99) == 0
        assert mark_interrupted(session, library.collection_id) == 1
        assert [get_run(session, run_id).status for run_id in (killed, done, uploading)] == [
            "interrupted",
            "failed",
            "running",
        ]


def test_unknown_runs_are_not_found(library: Any) -> None:
    with library.database.write() as session:
        with pytest.raises(NotFound):
            get_run(session, 99)
        with pytest.raises(NotFound):
            finish_run(session, 99, status="finished", counts=RunCounts())
