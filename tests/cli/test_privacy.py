"""The log's keeping on the command line: purge, keys, a person's data, and that looks are audited."""

import getpass
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, NotFound, RagError, StoreUnavailable
from rag.store.audit import AuditEvent, list_audit_events
from rag.store.database import Database
from rag.store.encryption import key_id, parse_keys
from tests.store.privacy_log import SECRET, fill, stored_words


class Command:
    """``rag`` inside this process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.env: dict[str, str] = {}
        self.stderr = ""

    def __call__(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["--database-url", self.url, *arguments], env=self.env)
        if isinstance(result.exception, RagError):
            raise result.exception
        assert result.exit_code == 0, result.output
        self.stderr = result.stderr
        return result.stdout

    def events(self, action: str) -> list[AuditEvent]:
        with Database(self.url).read() as session:
            return list_audit_events(session, action=action)


@pytest.fixture
def rag(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)  # where no rag.toml is
    fill(Database(sqlite_url))
    return Command(sqlite_url)


def test_purge_says_what_it_would_do_and_does_it_with_yes(rag: Command) -> None:
    dry = rag("logs", "purge", "--older-than", "1")
    assert "4 answers, given from 2025-11-13 to 2026-05-22, with 5 judgements: would be deleted" in dry
    assert "nothing was changed" in rag.stderr
    assert len(json.loads(rag("answers", "list", "--json"))["answers"]) == 4
    assert rag.events("log.purge") == []
    figures = json.loads(rag("logs", "purge", "--older-than", "1", "--collection", "other", "--yes", "--json"))
    assert (figures["dry_run"], figures["mode"], figures["num_answers"]) == (False, "delete", 1)
    assert "3 answers" in rag("logs", "purge", "--older-than", "1", "--anonymise", "--yes")
    assert [(row["question"], row["answer"]) for row in json.loads(rag("answers", "list", "--json"))["answers"]] == [
        ("", "")
    ] * 3
    assert "(anonymised)" in rag("answers", "list")
    assert "(anonymised)" in rag("answers", "show", "1")
    rag("logs", "purge", "--older-than", "1", "--anonymise")
    assert "nothing to purge" in rag.stderr
    events = rag.events("log.purge")
    assert [(event.target, event.details["mode"], event.details["num_answers"]) for event in events] == [
        (None, "anonymise", 3),
        ("other", "delete", 1),
    ]
    assert events[0].details["os_user"] == getpass.getuser()


def test_purge_takes_its_days_and_mode_from_the_settings(rag: Command) -> None:
    with pytest.raises(InvalidInput, match="set log_retention_days"):
        rag("logs", "purge")
    rag.env = {"RAG_LOG_RETENTION_DAYS": "1", "RAG_LOG_RETENTION_MODE": "anonymise"}
    assert "would be anonymised" in rag("logs", "purge")
    assert "would be deleted" in rag("logs", "purge", "--delete")
    with pytest.raises(InvalidInput, match="fewer days"):
        rag("logs", "purge", "--older-than", "999999999")
    with pytest.raises(NotFound, match="no collection 'fish'"):
        rag("logs", "purge", "--collection", "fish")


def test_key_is_made_put_in_use_rotated_and_given_up(rag: Command, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="new-key"):
        rag("logs", "rotate-key")
    first, second = rag("logs", "new-key").strip(), rag("logs", "new-key").strip()
    assert f"key {key_id(parse_keys(second)[0])};" in rag.stderr
    file = tmp_path / "keys"
    file.write_text(first)
    rag.env = {"RAG_LOG_KEYS_FILE": str(file)}
    assert f"encrypted with the key {key_id(parse_keys(first)[0])}" in rag("logs", "rotate-key")
    assert SECRET not in str(stored_words(Database(rag.url)))
    assert SECRET in rag("answers", "show", "1")
    assert SECRET not in rag("sql", "SELECT * FROM answer_review")
    with pytest.raises(InvalidInput, match="cannot be searched"):
        rag("answers", "list", "--contains", "heron")
    file.write_text(f"{second}\n{first}\n")
    assert json.loads(rag("logs", "rotate-key", "--json"))["key"] == key_id(parse_keys(second)[0])
    file.write_text(second)
    assert SECRET in rag("answers", "show", "1")
    file.write_text(first)
    with pytest.raises(StoreUnavailable, match="add that key to log_keys"):
        rag("answers", "show", "1")
    file.write_text(second)
    assert "decrypted" in rag("logs", "rotate-key", "--decrypt")
    rag.env = {}
    assert SECRET in rag("answers", "show", "1")


def test_person_is_exported_and_erased(rag: Command, tmp_path: Path) -> None:
    file = tmp_path / "amara.jsonl"
    rag("users", "export", "amara", "--output", str(file))
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert {record["record"] for record in records} == {
        "user", "api_key", "sign_in", "conversation", "answer", "feedback", "audit_event",
    }  # fmt: skip
    assert rag.events("user.export")[0].target == "amara"
    assert len(rag("users", "export", "jonas").splitlines()) > 2
    assert "amara: 2 answers, 1 conversations" in (dry := rag("users", "erase", "amara"))
    assert "would be erased" in dry
    assert "nothing was changed" in rag.stderr
    assert json.loads(rag("users", "erase", "amara", "--yes", "--json"))["num_answers"] == 2
    with pytest.raises(NotFound, match="Nothing is kept of a user 'amara'"):
        rag("users", "erase", "amara", "--yes")
    with pytest.raises(NotFound, match="'nobody'"):
        rag("users", "export", "nobody", "--output", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("command", "action", "target", "details"),
    [
        (("answers", "show", "3"), "answer.read", "3", {}),
        (("answers", "list"), "answer.list", None, {"answer_ids": [1, 2, 3]}),
        (("answers", "queue"), "answer.list", None, {"answer_ids": [1, 2, 3]}),
        (("conversations", "show", "1"), "answer.read", None, {"answer_ids": [1, 2]}),
        (("conversations", "list"), "conversation.list", None, {"conversation_ids": [1]}),
        (("sql", "SELECT 1"), "sql.query", None, {"query": "SELECT 1"}),
    ],
)
def test_look_at_what_others_asked_is_audited_with_the_user_of_the_operating_system(
    rag: Command, command: tuple[str, ...], action: str, target: str | None, details: dict
) -> None:
    rag(*command)
    event = rag.events(action)[0]
    assert (event.user_id, event.target) == (None, target)
    assert event.details == {**details, "os_user": getpass.getuser()}


def test_look_at_what_nobody_else_asked_is_not_audited(rag: Command) -> None:
    rag("answers", "show", "4")
    assert [event.target for event in rag.events("answer.read")] == ["3"]
    rag("answers", "list", "--collection", "other")
    assert rag.events("answer.list") == []


def test_acts_on_the_command_line_name_the_user_of_the_operating_system(rag: Command) -> None:
    rag("keys", "create", "--user", "new")
    assert rag.events("key.create")[0].details["os_user"] == getpass.getuser()
