"""``rag evaluate list``, ``compare`` and ``gate``, and ``rag answers replay``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rag.cli.main import app
from rag.cli.replaying import print_replay
from rag.errors import InvalidInput
from rag.replay import Replay, _word_changes
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.evaluations import QuestionResult, add_results, finish_evaluation, start_evaluation


class Command:
    def __init__(self, url: str, folder: Path) -> None:
        self._options = ["--database-url", url, "--data-dir", str(folder)]

    def __call__(self, *arguments: str, status: int = 0) -> str:
        result: Result = CliRunner().invoke(app, [*self._options, *arguments])
        if isinstance(result.exception, InvalidInput):
            raise result.exception
        assert result.exit_code == status, (result.output, result.exception)
        return result.stdout


@pytest.fixture
def rag(sqlite_url: str, tmp_path: Path) -> Command:
    return Command(sqlite_url, tmp_path / "data")


@pytest.fixture
def runs(sqlite_database: Database) -> list[int]:
    """Two evaluations of thirty questions, the second of which is worse in three."""
    ids = []
    with sqlite_database.write() as session:
        collection = get_or_create_collection(session, "handbooks", embedding_model="model")
        for num_wrong in (0, 3):
            run_id = start_evaluation(
                session, file="dev.json", file_sha256="f", collection_id=collection.id, settings={"top_k": num_wrong}
            )
            results = [
                QuestionResult(
                    question_id=str(number),
                    question=f"Who opened mill {number}?",
                    reference_answers=("Elsa",),
                    prediction="" if number < num_wrong else "Elsa",
                    exact_match=float(number >= num_wrong),
                    f1=float(number >= num_wrong),
                    abstained=number < num_wrong,
                )
                for number in range(30)
            ]
            add_results(session, run_id, results)
            finish_evaluation(session, run_id, metrics={"f1": 1 - num_wrong / 30, "num_questions": 30})
            ids.append(run_id)
    return ids


def test_comparison_shows_figures_questions_and_groups(rag: Command, runs: list[int]) -> None:
    shown = rag("evaluate", "compare", str(runs[0]), str(runs[1]), "--limit", "2")
    assert "30 questions, 27 with the same F1" in shown
    assert "worse: 3" in shown
    assert shown.count("(withheld)") == 2
    assert "kind: who" in shown
    assert "McNemar" in shown
    compared = json.loads(rag("evaluate", "compare", str(runs[0]), str(runs[1]), "--json"))
    assert compared["changed"] == {"top_k": [0, 3]}
    assert len(compared["worse"]) == 3


def test_gate_fails_with_an_exit_status_and_says_why(rag: Command, runs: list[int]) -> None:
    shown = rag("evaluate", "gate", "--baseline", str(runs[0]), status=4)
    assert shown.startswith(f"failed: evaluation {runs[1]} against {runs[0]}, 30 questions")
    assert "it fell by more than 0.01" in shown
    assert rag("evaluate", "gate", "--baseline", str(runs[0]), "--max-drop", "0.2").startswith("passed")
    verdict = json.loads(rag("evaluate", "gate", "--baseline", str(runs[1]), "--run", str(runs[0]), "--json"))
    assert (verdict["passed"], verdict["baseline"], verdict["run"]) == (True, runs[1], runs[0])
    with pytest.raises(InvalidInput, match="--max-drop"):
        rag("evaluate", "gate", "--baseline", str(runs[0]), "--max-drop", "7")


def test_evaluations_are_listed(rag: Command, runs: list[int]) -> None:
    shown = rag("evaluate", "list")
    assert "dev.json" in shown
    assert "0.9000" in shown
    listed = json.loads(rag("evaluate", "list", "--limit", "1", "--json"))
    assert [run["id"] for run in listed["evaluation_runs"]] == [runs[1]]
    rest = json.loads(rag("evaluate", "list", "--cursor", listed["next"], "--json"))
    assert ([run["id"] for run in rest["evaluation_runs"]], rest["next"]) == ([runs[0]], None)


def test_replay_shows_the_difference_of_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_replay(
        Replay(
            answer_id=1,
            question="Who?",
            same=False,
            same_passages=True,
            answer_then="by Elsa",
            answer="by Karl",
            abstained_then=False,
            abstained=False,
            confidence_then=0.5,
            confidence=0.75,
            word_changes=tuple(_word_changes("by Elsa", "by Karl")),
            passages_entered=(),
            passages_left=(),
            changed={"model": ("a", "b")},
            other_hardware=False,
            reasons=("The model was a and is b now.",),
        )
    )
    shown = capsys.readouterr().out
    assert "another answer" in shown
    assert "difference: by [-Elsa] [+Karl]" in shown
    assert "(+0.2500)" in shown
    assert "The model was a and is b now." in shown
