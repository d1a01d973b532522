"""``rag keys``, ``rag audit`` and what ``rag serve`` wants of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, NotFound, RagError
from rag.store.api_keys import find_usable_key
from rag.store.database import Database


class Command:
    """``rag`` inside this process, over one fresh database."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self._options = ["--database-url", database_url, "--data-dir", str(data_dir)]

    def __call__(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, [*self._options, *arguments])
        if result.exception is not None:
            assert isinstance(result.exception, RagError), result.output
            raise result.exception
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def rag(sqlite_url: str, tmp_path: Path) -> Command:
    return Command(sqlite_url, tmp_path / "data")


def _is_good(sqlite_url: str, words: str) -> bool:
    database = Database(sqlite_url)
    with database.read() as session:
        found = find_usable_key(session, words)
    database.dispose()
    return found is not None


def test_key_is_printed_once_and_alone(rag: Command, sqlite_url: str) -> None:
    words = rag("keys", "create", "--user", "amara").strip()
    assert words.startswith("rag_1_")
    assert " " not in words
    assert _is_good(sqlite_url, words)
    secret = words.removeprefix("rag_1_")
    assert secret not in rag("keys", "list") + rag("audit", "list") + json.dumps(rag.json("keys", "list"))


def test_options_say_what_it_opens(rag: Command) -> None:
    options = ["--role", "reviewer", "--name", "laptop", "--collection", "a", "--collection", "b"]
    options += ["--access-label", "hr", "--rate-limit", "60", "--expires-in-days", "30"]
    made = rag.json("keys", "create", "--user", "amara", *options)
    assert (made["role"], made["name"]) == ("reviewer", "laptop")
    assert (made["collections"], made["access_labels"]) == (["a", "b"], ["hr"])
    assert made["rate_limit_per_minute"] == 60
    assert made["expires_at"] is not None
    assert rag.json("keys", "create", "--user", "ben")["access_labels"] is None
    assert rag.json("keys", "create", "--user", "ben", "--no-access-label")["access_labels"] == []
    assert [key["user_id"] for key in rag.json("keys", "list")["keys"]] == ["amara", "ben", "ben"]
    assert len(rag.json("keys", "list", "--user", "ben")["keys"]) == 2
    table = rag("keys", "list")
    for words in ("amara", "a, b", "none", "all", "60"):
        assert words in table


def test_wrong_options_are_one_sentence(rag: Command) -> None:
    for options, words in (
        (["--role", "king"], "it is reader, contributor, reviewer, administrator"),
        (["--access-label", "hr", "--no-access-label"], "exclude each other"),
        (["--role", "administrator", "--collection", "a"], "opens everything"),
        (["--expires-in-days", "0"], "at least 1"),
    ):
        with pytest.raises(InvalidInput, match=words):
            rag("keys", "create", "--user", "amara", *options)


def test_revoked_key_opens_nothing_and_all_of_it_is_audited(rag: Command, sqlite_url: str) -> None:
    words = rag("keys", "create", "--user", "amara").strip()
    assert "is revoked" in rag("keys", "revoke", "1")
    assert not _is_good(sqlite_url, words)
    with pytest.raises(NotFound, match="revoked already"):
        rag("keys", "revoke", "1")
    page = rag.json("audit", "list")
    assert [event["action"] for event in page["events"]] == ["key.revoke", "key.create"]
    assert {event["target"] for event in page["events"]} == {"1"}
    assert page["next"] is None
    assert "key.create" in rag("audit", "list", "--action", "key.create", "--limit", "1")
    assert rag.json("audit", "list", "--user", "nobody")["events"] == []


def test_serve_wants_a_usable_key_where_it_needs_one(rag: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[dict[str, Any]] = []
    monkeypatch.setattr("uvicorn.run", lambda _, **options: served.append(options))
    rag("serve")
    with pytest.raises(InvalidInput, match="rag keys create --user YOU --role administrator"):
        rag("serve", "--host", "0.0.0.0")
    monkeypatch.setenv("RAG_REQUIRE_API_KEY", "always")
    with pytest.raises(InvalidInput, match="Refusing to listen on 127.0.0.1"):
        rag("serve")
    rag("keys", "create", "--user", "me", "--role", "administrator")
    rag("serve", "--host", "0.0.0.0")
    rag("serve")
    rag("keys", "revoke", "1")
    with pytest.raises(InvalidInput, match="none that is usable"):
        rag("serve", "--host", "0.0.0.0")
    assert [options["host"] for options in served] == ["127.0.0.1", "0.0.0.0", "127.0.0.1"]
