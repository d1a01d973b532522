"""An evaluation that was stopped at any moment and gone on with ends with the figures of an undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from rag.assemble import Rag
from rag.cli.main import app
from rag.config import Settings
from rag.errors import Busy, InvalidInput, NotFound
from rag.evaluate.corpus import build_corpus
from rag.evaluate.qa import QaEvaluation, QaOptions
from rag.evaluate.qa_metrics import figures_of_run
from rag.evaluate.resuming import lock_of_run
from rag.store.documents import mark_deleted
from rag.store.evaluations import get_evaluation, list_results

PEOPLE = ["Amara Diallo", "Maria Costa", "Ivar Lund"]
PLACES = ["Lisbon", "Porto", "Visby", "Kalmar", "Mora"]
NUM_QUESTIONS = len(PEOPLE) * len(PLACES)


def _write_questions(path: Path, *, people: list[str] = PEOPLE) -> Path:
    """A question for each person and place; every fourth has no answer in its paragraph."""
    data = []
    for number, (person, place) in enumerate((person, place) for person in people for place in PLACES):
        context = f"The desk in {place} that sells maps of kind {number} is kept by {person} since {1950 + number}."
        answerable = number % 4 != 3
        answers = [{"text": person, "answer_start": context.index(person)}] if answerable else []
        asked = f"Who keeps the desk in {place} that sells maps of kind {number}?"
        question = asked if answerable else f"What is the boiling point of metal {number}?"
        qa = {"id": "same for all", "question": question, "answers": answers, "is_impossible": not answerable}
        data.append({"title": f"Desks of {place}", "paragraphs": [{"context": context, "qas": [qa]}]})
    path.write_text(json.dumps({"data": data}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return _write_questions(tmp_path / "desks.json")


@pytest.fixture
def short(tmp_path: Path) -> Path:
    return _write_questions(tmp_path / "few.json", people=PEOPLE[:1])


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Rag]:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path) -> Iterator[Rag]:
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


def _evaluation(service: Rag, path: Path, **options: Any) -> QaEvaluation:
    corpus = build_corpus(path, ingester=service.ingester, database=service.database, on_progress=lambda _: None)
    asked = QaOptions(**{"top_k": 3, **options})
    return QaEvaluation(service.database, service.retriever, service.answerer, corpus, asked)


def _run(evaluation: QaEvaluation, path: Path, **more: Any) -> dict[str, Any]:
    return evaluation.run(path, on_question=lambda _: None, **more)


class _Stop(Exception):
    pass


def _stop_after(evaluation: QaEvaluation, path: Path, num: int, **more: Any) -> int:
    """Stop once ``num`` questions are answered; returns the id of the run."""

    def stop(number: int) -> None:
        if number >= num:
            raise _Stop

    with pytest.raises(_Stop):
        evaluation.run(path, on_question=stop, **more)
    return evaluation.run_to_resume(path, None)


def _comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Figures without what may differ: the id and the times."""
    return {name: value for name, value in metrics.items() if name not in ("evaluation_run_id", "latency_ms")}


@pytest.mark.parametrize("options", [{}, {"abstain": False, "limit": 4, "seed": 1}, {"gold_passage": True}])
def test_run_that_was_stopped_ends_with_the_figures_of_an_undisturbed_one(
    service: Rag, short: Path, options: dict[str, Any]
) -> None:
    evaluation = _evaluation(service, short, **options)
    undisturbed = _run(evaluation, short)
    run_id = _stop_after(evaluation, short, 1)
    assert _stop_after(evaluation, short, 3, resume_id=run_id) == run_id
    asked: list[int] = []
    resumed = evaluation.run(short, on_question=asked.append, resume_id=run_id)
    assert asked == list(range(4, len(evaluation.questions) + 1))
    assert _comparable(resumed) == _comparable(undisturbed)
    assert resumed["evaluation_run_id"] == run_id
    assert resumed["latency_ms"].keys() == undisturbed["latency_ms"].keys()


def test_all_figures_can_be_made_anew_from_sql(service: Rag, short: Path) -> None:
    metrics = _run(_evaluation(service, short), short)
    run_id = metrics["evaluation_run_id"]
    assert figures_of_run(service.database, run_id) == metrics
    with service.database.read() as session:
        assert get_evaluation(session, run_id).metrics == metrics
        measures = [result.measures for result in list_results(session, run_id)]
    assert [one and one.ordinal for one in measures] == [1, 2, 3, 4, 5]
    with service.database.write() as session:
        session.execute(text("UPDATE evaluation_results SET reranked_gold_rank = 2, withheld_f1 = 0.5"))
    anew = figures_of_run(service.database, run_id)
    assert anew["reranked"] == {"hit_at_1": 0.0, "hit_at_5": 1.0, "hit_at_10": 1.0, "mrr_at_10": 0.5}
    assert anew["exact_match"] == metrics["exact_match"]


def test_figures_need_what_older_versions_did_not_log(local: Rag, short: Path) -> None:
    run_id = _stop_after(_evaluation(local, short), short, 1)
    with local.database.write() as session:
        session.execute(text("UPDATE evaluation_results SET ordinal = NULL"))
    with pytest.raises(InvalidInput, match=f"older version of this program logged evaluation {run_id}"):
        figures_of_run(local.database, run_id)
    with local.database.write() as session:
        session.execute(text("DELETE FROM evaluation_results"))
    with pytest.raises(InvalidInput, match="No question"):
        figures_of_run(local.database, run_id)


def test_other_options_are_another_run(local: Rag, short: Path) -> None:
    run_id = _stop_after(_evaluation(local, short), short, 1)
    for options, words in (
        ({"top_k": 2}, "top_k was 3 and is 2 now"),
        ({"limit": 2}, "limit was not set and is 2 now"),
        ({"abstain": False}, "abstain was true and is false now"),
        ({"gold_passage": True}, "gold_passage was false and is true now"),
    ):
        evaluation = _evaluation(local, short, **options)
        assert evaluation.interrupted_run(short) is None
        for wanted in (None, run_id):
            with pytest.raises(InvalidInput, match=f"Evaluation {run_id} was begun under other conditions: .*{words}"):
                evaluation.run_to_resume(short, wanted)


def test_other_readers_thresholds_and_searches_are_another_run(local: Rag, short: Path) -> None:
    run_id = _stop_after(_evaluation(local, short), short, 1)
    changed = local.settings.model_copy(update={"abstain_below": 0.125, "keyword_weight": 0.75})
    with Rag(changed, reader_mode="span") as service:
        evaluation = _evaluation(service, short)
        with pytest.raises(InvalidInput) as refused:
            _run(evaluation, short, resume_id=run_id)
    for words in ("abstain_below was", "is 0.125 now", "keyword_weight was 0.3 and is 0.75 now", "model was"):
        assert words in str(refused.value)


def test_other_machine_is_no_reason_to_begin_anew(local: Rag, short: Path) -> None:
    evaluation = _evaluation(local, short)
    run_id = _stop_after(evaluation, short, 1)
    asking = evaluation.asking(short)
    with local.database.write() as session:
        settings = json.dumps({**asking.settings, "num_threads": 64, "processor": "other"})
        session.execute(text("UPDATE evaluation_runs SET settings = :settings"), {"settings": settings})
    assert evaluation.run_to_resume(short, None) == run_id
    with local.database.write() as session:
        settings = json.dumps({**asking.settings, "model_sha256": "0" * 64})
        session.execute(text("UPDATE evaluation_runs SET settings = :settings"), {"settings": settings})
    with pytest.raises(InvalidInput, match="model_sha256 was 000000000000… and is [0-9a-f]{12}… now"):
        evaluation.run_to_resume(short, None)


def test_run_over_passages_that_have_changed_is_refused(local: Rag, short: Path) -> None:
    run_id = _stop_after(_evaluation(local, short), short, 1)
    with local.database.write() as session:
        mark_deleted(session, 1)
    with pytest.raises(InvalidInput, match="index_change_id was"):
        _evaluation(local, short).run_to_resume(short, run_id)


def test_only_unfinished_runs_of_the_same_file_go_on(local: Rag, short: Path, tmp_path: Path) -> None:
    evaluation = _evaluation(local, short)
    with pytest.raises(InvalidInput, match=r"no unfinished evaluation of few\.json to go on with; leave --resume out"):
        evaluation.run_to_resume(short, None)
    with pytest.raises(NotFound, match="no evaluation 99"):
        evaluation.run_to_resume(short, 99)
    done = _run(evaluation, short)["evaluation_run_id"]
    with pytest.raises(InvalidInput, match=f"Evaluation {done} has finished"):
        evaluation.run_to_resume(short, done)
    run_id = _stop_after(evaluation, short, 1)
    other = _write_questions(tmp_path / "other.json", people=PEOPLE[1:2])
    with pytest.raises(InvalidInput, match=rf"Evaluation {run_id} asks the questions of another file \(few\.json with"):
        _evaluation(local, other).run_to_resume(other, run_id)
    renamed = Path(shutil.copy(short, tmp_path / "renamed.json"))
    with pytest.raises(InvalidInput, match=r"another collection, made when the file was called few\.json"):
        _evaluation(local, renamed).run_to_resume(renamed, run_id)
    with local.database.write() as session:
        session.execute(text("UPDATE evaluation_runs SET settings = '{\"top_k\": 3}'"))
    with pytest.raises(InvalidInput, match="begun by an older version"):
        evaluation.run_to_resume(short, run_id)


def test_newest_of_several_runs_goes_on_and_an_older_one_by_its_id(local: Rag, short: Path) -> None:
    evaluation = _evaluation(local, short)
    older, newer = _stop_after(evaluation, short, 1), _stop_after(evaluation, short, 2)
    other = _stop_after(_evaluation(local, short, top_k=1), short, 1)
    assert older < newer < other
    assert evaluation.run_to_resume(short, None) == evaluation.interrupted_run(short) == newer
    assert evaluation.run_to_resume(short, older) == older


def test_run_that_a_process_works_on_is_left_to_it(service: Rag, short: Path) -> None:
    evaluation = _evaluation(service, short)
    run_id = _stop_after(evaluation, short, 1)
    assert evaluation.interrupted_run(short) == run_id
    with service.database.exclusive(lock_of_run(run_id)):
        assert evaluation.interrupted_run(short) is None
        with pytest.raises(Busy, match=f"evaluation-{run_id}"):
            _run(evaluation, short, resume_id=run_id)


def test_run_whose_last_question_was_answered_only_needs_its_figures(local: Rag, short: Path) -> None:
    evaluation = _evaluation(local, short)
    run_id = _stop_after(evaluation, short, 5)
    asked: list[int] = []
    assert evaluation.run(short, on_question=asked.append, resume_id=run_id)["num_questions"] == 5
    assert asked == []


def _invoke(url: str, data: Path, *arguments: str) -> tuple[str, str]:
    """Standard output and error of ``rag`` in this process."""
    result = CliRunner().invoke(app, ["--database-url", url, "--data-dir", str(data), *arguments])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.stdout, result.stderr


# Imports everything once, then forks a child for each call: what takes seconds is done before the moment to kill.
# A shell that runs the tests in the background has them ignore SIGINT, and so would everything that they start.
DRIVER = """
import json, os, signal, sys
import rag.assemble, rag.evaluate.qa
from rag.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.argv = ["rag", *json.loads(line)]
        sys.stdout = sys.stderr
        main()
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


@pytest.fixture
def driver() -> Iterator["subprocess.Popen[str]"]:
    command, environment = [sys.executable, "-c", DRIVER], {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process


def _kill_after(driver: "subprocess.Popen[str]", url: str, arguments: list[str], *, num: int, wanted: int) -> int:
    """Start ``rag``, send it the signal once ``num`` results are in SQL; returns its status as ``os.wait`` tells it."""
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.stdin.write(json.dumps(["--database-url", url, *arguments]) + "\n")
    driver.stdin.flush()
    pid, engine = int(driver.stdout.readline()), create_engine(url)
    for _ in range(6_000):
        with engine.connect() as connection:
            if connection.scalar(text("SELECT count(*) FROM evaluation_results")) >= num:
                break
        time.sleep(0.02)
    engine.dispose()
    os.kill(pid, wanted)
    return int(driver.stdout.readline())


@pytest.mark.slow
def test_process_that_was_killed_loses_nothing_that_was_answered(
    driver: "subprocess.Popen[str]", sqlite_url: str, migrated_sqlite_file: Path, tmp_path: Path, path: Path
) -> None:
    asked = ["evaluate", "qa", str(path), "--top-k", "3", "--json"]
    kill = [
        (asked, 3, signal.SIGKILL),
        ([*asked, "--resume"], 5, signal.SIGTERM),
        ([*asked, "--resume"], 7, signal.SIGINT),  # and a second or two is left before it would be done
    ]
    data = tmp_path / "data"
    given = ["--data-dir", str(data)]
    statuses = [_kill_after(driver, sqlite_url, [*given, *a], num=num, wanted=number) for a, num, number in kill]
    assert statuses == [signal.SIGKILL, signal.SIGTERM, (128 + signal.SIGINT) << 8]
    out, err = _invoke(sqlite_url, data, *asked, "--resume", "1")
    num_done = int(err.split("evaluation 1: ")[1].split(f" of {NUM_QUESTIONS} questions are answered")[0])
    assert 7 <= num_done < NUM_QUESTIONS
    shutil.copy(migrated_sqlite_file, tmp_path / "undisturbed.db")
    undisturbed, _ = _invoke(f"sqlite:///{tmp_path / 'undisturbed.db'}", tmp_path / "undisturbed", *asked)
    assert _comparable(json.loads(out)) == _comparable(json.loads(undisturbed))
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        for table in ("answers", "evaluation_results"):
            counted = f"SELECT count(*), count(DISTINCT question) FROM {table}"  # noqa: S608
            assert connection.execute(text(counted)).one() == (NUM_QUESTIONS, NUM_QUESTIONS)
    engine.dispose()


def test_command_says_what_could_be_gone_on_with(local: Rag, short: Path, tmp_path: Path) -> None:
    url = str(local.settings.resolved_database_url)
    run_id = _stop_after(_evaluation(local, short), short, 2)
    asked = ("evaluate", "qa", str(short), "--top-k", "3")
    with pytest.raises(InvalidInput, match="add --resume"):
        _invoke(url, tmp_path / "data", *asked, str(run_id))
    hint = f"evaluation {run_id} of this file was interrupted after 2 of 5 questions; --resume goes on with it"
    assert hint not in _invoke(url, tmp_path / "data", *asked, "--no-abstain")[1]
    assert hint in _invoke(url, tmp_path / "data", *asked)[1]
    out, err = _invoke(url, tmp_path / "data", *asked, "--resume", "--json")
    assert f"evaluation {run_id}: 2 of 5 questions are answered" in err
    figures = json.loads(out)
    assert (figures["evaluation_run_id"], figures["num_questions"]) == (run_id, 5)
    assert "interrupted" not in _invoke(url, tmp_path / "data", *asked)[1]
