"""Reviewing on the command line: sql, answers queue and agreement, usage, export training."""

import csv
import io
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, RagError
from rag.store.database import Database
from rag.training.squad import load_squad


class Command:
    """``rag`` inside this process, over the small log."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stderr = ""

    def __call__(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["--database-url", self.url, *arguments])
        if isinstance(result.exception, RagError):
            raise result.exception
        assert result.exit_code == 0, result.output
        self.stderr = result.stderr
        return result.stdout

    def json(self, *arguments: str) -> dict:
        value: dict = json.loads(self(*arguments, "--json"))
        return value


@pytest.fixture
def rag(sqlite_url: str, review_log: ModuleType) -> Command:
    database = Database(sqlite_url)
    review_log.fill(database)
    database.dispose()
    return Command(sqlite_url)


def test_sql_prints_tables_csv_and_json(rag: Command) -> None:
    query = "SELECT answer_id, question, total_ms / 7 AS part FROM answer_review WHERE answer_id < 3 ORDER BY 1"
    table = rag("sql", query)
    assert re.search(r"answer_id +question +part", table)
    assert "17.1429" in table
    rows = list(csv.reader(io.StringIO(rag("sql", query, "--format", "csv"))))
    assert rows[0] == ["answer_id", "question", "part"]
    assert rows[1] == ["1", "How many days of leave are there?", str(120 / 7)]
    assert rag.json("sql", query)[1]["question"] == "Who keeps the support rota?"


def test_sql_says_when_rows_are_left_out_and_lists_what_there_is(rag: Command) -> None:
    assert len(rag.json("sql", "SELECT answer_id FROM answer_review", "--limit", "2")) == 2
    assert "only the first 2 rows; --limit allows more" in rag.stderr
    assert {"table": "review_queue", "column": "priority"} in rag.json("sql")


def test_sql_refuses_to_write(rag: Command) -> None:
    with pytest.raises(InvalidInput, match="does more than read tables"):
        rag("sql", "DELETE FROM answers")
    assert rag.json("sql", "SELECT count(*) AS num FROM answers") == [{"num": 18}]


def test_reader_role_is_for_postgresql(rag: Command, postgres_copy: str) -> None:
    with pytest.raises(InvalidInput, match="SQLite has no roles"):
        rag("db", "reader-role")
    assert "answer_review" in Command(postgres_copy).json("db", "reader-role")["readable"]
    assert "rag_reader may read alembic_version, answer_access_labels" in Command(postgres_copy)("db", "reader-role")


def test_queue_is_worked_through(rag: Command) -> None:
    page = rag.json("answers", "queue", "--limit", "2")
    assert [answer["answer_id"] for answer in page["answers"]] == [8, 17]
    shown = rag("answers", "queue", "--limit", "2")
    assert "thumbs down, a score of 0.10, scorers disagree" in shown
    assert f"more with --cursor {page['next']}" in rag.stderr
    (rest,) = rag.json("answers", "queue", "--cursor", page["next"])["answers"]
    assert (rest["answer_id"], rest["reasons"], rest["num_asked"]) == (10, ["asked_often"], 3)
    given = rag.json("answers", "rate", "8", "down", "--review", "--wrong-passage", "1", "--user", "anna")
    assert (given["is_review"], given["wrong_passage_id"], given["user_id"]) == (True, 1, "anna")
    assert "reviewed down passage 1 is wrong" in rag("answers", "show", "8")
    for answer_id in ("17", "10"):
        rag("answers", "rate", answer_id, "up", "--review")
    rag("answers", "queue")
    assert "There is nothing to review." in rag.stderr


def test_agreement_is_told_with_its_count(rag: Command) -> None:
    (found,) = rag.json("answers", "agreement")["agreements"]
    # Both good 1, 2, 9; both bad 15; anna alone good 12, ben alone good 4.
    assert (found["reviewer"], found["other_reviewer"], found["num_answers"]) == ("anna", "ben", 6)
    assert found["kappa"] == pytest.approx((4 / 6 - 5 / 9) / (4 / 9))
    assert re.search(r"anna, ben +6 +3 +1 +2 +0\.67 +0\.56 +0\.25", rag("answers", "agreement"))
    rag("answers", "agreement", "--collection", "nothing")
    assert "judged by two reviewers" in rag.stderr


def test_usage_shows_days_and_what_changed(rag: Command) -> None:
    report = rag.json("usage", "--days", "7", "--until", "2025-06-15")
    assert (report["first"], report["first_before"]) == ("2025-06-09", "2025-06-02")
    assert [day["num_questions"] for day in report["days"]] == [2, 2, 1]
    shown = rag("usage", "--days", "7", "--until", "2025-06-15")
    assert "answer_rate" in shown
    assert "too few" in shown
    rag("usage", "--until", "2020-01-01")
    assert "Nothing was asked from 2019-12-03 to 2020-01-01." in rag.stderr


def test_training_data_is_written_and_what_is_left_out_is_told(rag: Command, tmp_path: Path) -> None:
    output = tmp_path / "reviewed.json"
    made = rag.json("export", "training", "--output", str(output))
    assert made["num_questions"] == len(load_squad(output).questions) == made["num_real"]
    assert [each["answer_id"] for each in made["left_out"]] == [12]
    shown = rag("export", "training", "--output", str(output), "--with-thumbs")
    assert "confirmed" in shown
    assert "answer 12 is left out" in rag.stderr
    with pytest.raises(InvalidInput, match="none gives training data"):
        rag("export", "training", "--output", str(tmp_path / "no.json"), "--origin", "synthetic")
    assert not (tmp_path / "no.json").exists()
    with pytest.raises(InvalidInput, match="origin 'made' is unknown"):
        rag("export", "training", "--output", str(output), "--origin", "made")


@pytest.mark.slow
def test_training_data_is_trained_on(rag: Command, tmp_path: Path) -> None:
    output = tmp_path / "reviewed.json"
    rag("export", "training", "--output", str(output), "--with-thumbs")
    options = ["--steps", "2", "--questions", "2", "--negatives", "1", "--near-misses", "1", "--no-calibrate"]
    weights = tmp_path / "weights"
    rag("train", "reader", "--data", str(output), "--output", str(weights), "--work", str(tmp_path / "work"), *options)
    assert (weights / "reader.safetensors").is_file()


@pytest.mark.slow
def test_training_data_is_evaluated(rag: Command, tmp_path: Path) -> None:
    output = tmp_path / "reviewed.json"
    num = rag.json("export", "training", "--output", str(output))["num_questions"]
    metrics = Command(rag.url).json("--data-dir", str(tmp_path / "data"), "evaluate", "qa", str(output))
    assert metrics["num_questions"] == num
    assert metrics["exact_match"] >= 0.5
