"""Training runs and the points of their curves."""

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rag.errors import NotFound
from rag.store.database import Database
from rag.store.training_runs import (
    DataFile,
    TrainingRunStart,
    add_training_point,
    finish_training_run,
    get_training_run,
    list_training_runs,
    rewind_training_run,
    start_training_run,
    training_curves,
)

START = TrainingRunStart(
    run_key="a1",
    kind="names",
    folder="runs/names",
    num_steps=100,
    seed=7,
    settings={"peak_rate": 0.001, "schedule": {"decay": "cosine"}},
    data_files=(DataFile(path="names.txt", sha256="abc", num_bytes=5_000_000_000),),
    code_version="0.1.0",
    machine={"torch": "2", "num_threads": 1},
)


def start(database: Database, run: TrainingRunStart = START) -> int:
    with database.write() as session:
        return start_training_run(session, run)


def test_run_is_running_until_it_says_how_it_ended(database: Database) -> None:
    run_id = start(database)
    with database.read() as session:
        begun = get_training_run(session, run_id)
    assert (begun.kind, begun.status, begun.step, begun.num_steps, begun.num_starts) == ("names", "running", 0, 100, 1)
    assert (begun.settings, begun.data_files, begun.machine) == (START.settings, START.data_files, START.machine)
    assert (begun.scores, begun.weights_sha256, begun.finished_at) == (None, None, None)
    with database.write() as session:
        finish_training_run(
            session, run_id, status="finished", scores={"loss": 1.5}, weights_path="w", weights_sha256="f00"
        )
    with database.read() as session:
        done = get_training_run(session, run_id)
    assert (done.status, done.scores, done.weights_path, done.weights_sha256) == ("finished", {"loss": 1.5}, "w", "f00")
    assert done.finished_at is not None
    assert done.finished_at >= done.started_at


def test_curves_come_back_by_metric_in_order_of_steps(database: Database) -> None:
    run_id, other = start(database), start(database, replace(START, run_key="b2"))
    with database.write() as session:
        add_training_point(session, run_id, 20, {"loss": 1.0, "validation_loss": 1.25})
        add_training_point(session, run_id, 10, {"loss": 2.0, "span": float("nan"), "token": float("inf")})
        add_training_point(session, other, 10, {"loss": 9.0})
    with database.read() as session:
        assert training_curves(session, run_id) == {"loss": [(10, 2.0), (20, 1.0)], "validation_loss": [(20, 1.25)]}
        assert training_curves(session, 99) == {}
        best = text("SELECT step FROM training_points WHERE run_id = :id AND metric = 'loss' ORDER BY value LIMIT 1")
        assert session.scalar(best, {"id": run_id}) == 20  # what people write themselves


def test_killed_run_stays_as_it_last_reported_and_goes_on_in_the_same_row(database: Database) -> None:
    run_id = start(database)
    with database.write() as session:
        for step in (10, 20, 30):
            add_training_point(session, run_id, step, {"loss": 100.0 - step})
    with database.read() as session:
        killed = get_training_run(session, run_id)
    assert (killed.status, killed.step) == ("running", 30)
    assert start(database, replace(START, num_steps=200, machine={"torch": "3"})) == run_id
    with database.write() as session:
        rewind_training_run(session, run_id, 20)
    with database.read() as session:
        resumed = get_training_run(session, run_id)
        assert training_curves(session, run_id) == {"loss": [(10, 90.0), (20, 80.0)]}
    assert (resumed.step, resumed.num_steps, resumed.num_starts) == (20, 200, 2)
    assert resumed.machine == {"torch": "3"}
    assert resumed.started_at == killed.started_at
    assert resumed.reported_at >= killed.reported_at


def test_run_started_again_after_its_end_is_running_again(database: Database) -> None:
    run_id = start(database)
    with database.write() as session:
        finish_training_run(session, run_id, status="failed")
    assert start(database) == run_id
    with database.read() as session:
        assert get_training_run(session, run_id).status == "running"
        assert get_training_run(session, run_id).finished_at is None


def test_point_logged_twice_is_the_later_one(database: Database) -> None:
    run_id = start(database)
    with database.write() as session:
        add_training_point(session, run_id, 10, {"loss": 2.0, "gone": 1.0})
        add_training_point(session, run_id, 10, {"loss": 3.0})
    with database.read() as session:
        assert training_curves(session, run_id) == {"loss": [(10, 3.0)]}


def test_runs_are_listed_newest_first(database: Database) -> None:
    first, second, third = (start(database, replace(START, run_key=key)) for key in "xyz")
    reader = start(database, replace(START, run_key="r", kind="reader"))
    with database.read() as session:
        assert [run.id for run in list_training_runs(session)] == [reader, third, second, first]
        assert [run.id for run in list_training_runs(session, kind="names", limit=2)] == [third, second]
        assert [run.id for run in list_training_runs(session, kind="names", before_id=second)] == [first]


def test_unknown_runs_are_not_found(database: Database) -> None:
    with database.write() as session:
        with pytest.raises(NotFound, match="no training run 99; `rag train runs`"):
            get_training_run(session, 99)
        with pytest.raises(NotFound):
            add_training_point(session, 99, 1, {"loss": 1.0})
        with pytest.raises(NotFound):
            rewind_training_run(session, 99, 0)
        with pytest.raises(NotFound):
            finish_training_run(session, 99, status="failed")


def test_points_go_with_their_run(database: Database) -> None:
    run_id = start(database)
    with database.write() as session:
        add_training_point(session, run_id, 10, {"loss": 2.0})
        session.execute(text("DELETE FROM training_runs"))
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM training_points")) == 0


def test_made_up_status_is_refused(database: Database) -> None:
    run_id = start(database)
    with pytest.raises(IntegrityError), database.write() as session:
        finish_training_run(session, run_id, status="perhaps")  # type: ignore[arg-type]
