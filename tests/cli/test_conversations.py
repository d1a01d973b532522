"""Conversations on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, NotFound


class Command:
    """``rag`` inside this process, over one fresh database."""

    def __init__(self, *options: str) -> None:
        self._options = options

    def __call__(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, [*self._options, *arguments])
        if isinstance(result.exception, InvalidInput | NotFound):
            raise result.exception
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout


@pytest.fixture
def rag(sqlite_url: str, tmp_path: Path) -> Command:
    (tmp_path / "history.txt").write_text(
        "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto."
    )
    command = Command("--database-url", sqlite_url, "--data-dir", str(tmp_path / "data"))
    command("ingest", str(tmp_path / "history.txt"))
    return command


def test_conversation_is_begun_gone_on_with_and_shown(rag: Command) -> None:
    assert "no conversation" not in rag("conversations", "list").lower()
    first = rag("ask", "Who founded the company?", "--conversation", "new")
    assert "conversation 1" in first
    second = json.loads(rag("ask", "And where was it founded?", "--conversation", "1", "--json"))
    assert second["answer"] == "Lisbon"
    assert "understood as: Where was the company founded?" in rag("answers", "show", str(second["id"]))
    shown = rag("conversations", "show", "1")
    assert shown.index("Who founded the company?") < shown.index("And where was it founded?")
    (listed,) = json.loads(rag("conversations", "list", "--json"))["conversations"]
    assert (listed["id"], listed["num_answers"]) == (1, 2)
    assert json.loads(rag("conversations", "show", "1", "--json"))["answers"][1]["id"] == second["id"]
    assert "Who founded the company?" in rag("conversations", "list")


def test_answer_builds_on_another(rag: Command) -> None:
    first = json.loads(rag("ask", "Who founded the company?", "--json"))
    second = json.loads(rag("ask", "When was that?", "--based-on", str(first["id"]), "--json"))
    assert second["based_on_answer_id"] == first["id"]
    assert second["standalone_question"] == "When was it that Maria Costa founded the company?"


def test_what_is_no_conversation_is_refused(rag: Command) -> None:
    with pytest.raises(InvalidInput, match="'old' is neither an id nor new"):
        rag("ask", "Who?", "--conversation", "old")
    with pytest.raises(NotFound, match="There is no conversation 9"):
        rag("ask", "Who?", "--conversation", "9")
    with pytest.raises(NotFound, match="There is no conversation 9"):
        rag("conversations", "show", "9")
    with pytest.raises(NotFound, match="There is no answer 9"):
        rag("ask", "Who?", "--based-on", "9")
