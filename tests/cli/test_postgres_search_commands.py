"""The commands over search inside PostgreSQL."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, StoreUnavailable
from rag.store.database import Database


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAG_SEARCH", "postgres")
    return tmp_path / "data"


def _run(url: str, data_dir: Path, *arguments: str, status: int = 0) -> Any:
    options = ["--database-url", url, "--data-dir", str(data_dir)]
    result = CliRunner().invoke(app, [*options, *arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_upgrade_sets_the_search_up_and_the_index_commands_say_what_there_is(
    postgres_copy: str, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "rota.txt").write_text("The support rota is kept by Amara Diallo.")
    with pytest.raises(StoreUnavailable, match="run `rag db upgrade`"):
        _run(postgres_copy, data_dir, "ingest", str(tmp_path / "rota.txt"))
    _run(postgres_copy, data_dir, "db", "upgrade")
    assert _run(postgres_copy, data_dir, "ingest", str(tmp_path / "rota.txt"))["num_added"] == 1
    assert _run(postgres_copy, data_dir, "search", "support rota")["hits"][0]["title"] == "rota"
    (stats,) = _run(postgres_copy, data_dir, "index", "stats")["indexes"]
    assert (stats["passages_in_index"], stats["kind"], stats["folder"]) == (1, "exact", None)
    assert stats["bytes"] > stats["vector_bytes"] == 768
    assert _run(postgres_copy, data_dir, "index", "verify")["indexes"][0]["good"] is True
    database = Database(postgres_copy)
    for damage in ("DELETE FROM rag_search.postings WHERE word = 'rota'", "DELETE FROM rag_search.vectors"):
        with database.migrate() as connection:
            connection.exec_driver_sql(damage)
        (verified,) = _run(postgres_copy, data_dir, "index", "verify", status=1)["indexes"]
        assert "run `rag index build`" in verified["problem"]
        assert _run(postgres_copy, data_dir, "index", "build")["passages_in_index"] == 1
        assert _run(postgres_copy, data_dir, "index", "verify")["indexes"][0]["problem"] is None
    database.dispose()
    assert not (data_dir / "index").exists()


def test_sqlite_cannot_be_searched_by_postgres(sqlite_url: str, data_dir: Path) -> None:
    with pytest.raises(InvalidInput, match="search: .*postgres needs a database_url of a PostgreSQL server"):
        _run(sqlite_url, data_dir, "index", "stats")
