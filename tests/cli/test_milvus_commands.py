"""The commands over search in Milvus, in a file of Milvus Lite."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput
from rag.index.milvus_server import MilvusServer


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command and returns its JSON."""
    monkeypatch.setenv("RAG_SEARCH", "milvus")
    monkeypatch.setenv("RAG_MILVUS_URI", str(tmp_path / "milvus.db"))

    def run(*arguments: str, status: int = 0) -> Any:
        options = ["--database-url", sqlite_url, "--data-dir", str(tmp_path / "data")]
        result = CliRunner().invoke(app, [*options, *arguments, "--json"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return json.loads(result.stdout)

    return run


def test_index_commands_say_what_milvus_holds_and_build_it_anew(run: Any, tmp_path: Path) -> None:
    (tmp_path / "rota.txt").write_text("The support rota is kept by Amara Diallo.")
    assert run("ingest", str(tmp_path / "rota.txt"))["num_added"] == 1
    assert run("search", "support rota")["hits"][0]["title"] == "rota"
    (stats,) = run("index", "stats")["indexes"]
    assert (stats["passages_in_index"], stats["kind"], stats["folder"]) == (1, "exact", None)
    assert stats["bytes"] > 0
    (verified,) = run("index", "verify")["indexes"]
    assert (verified["good"], verified["recall_at_10"]) == (True, 1.0)

    server = MilvusServer(str(tmp_path / "milvus.db"))
    (build,) = [name for name in server.run("list_collections") if name != "rag_marks"]
    server.run("delete", build, ids=[1])
    server.close()
    (verified,) = run("index", "verify", status=1)["indexes"]
    assert "run `rag index build`" in verified["problem"]
    assert run("index", "build")["passages_in_index"] == 1
    assert run("index", "verify")["indexes"][0]["problem"] is None
    assert not (tmp_path / "data" / "index").exists()


def test_milvus_without_a_place_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_MILVUS_REPLICAS", "2")
    for uri, words in (
        ("", "milvus needs milvus_uri"),
        ("milvus", "ends in .db"),
        ("http://me:secret@milvus:19530", "set milvus_token"),
        ("ftp://milvus", "milvus_uri needs a URL"),
        ("milvus.db", "Milvus Lite has one replica"),
    ):
        monkeypatch.setenv("RAG_MILVUS_URI", uri)
        with pytest.raises(InvalidInput, match=words) as caught:
            run("index", "stats")
        assert "secret" not in str(caught.value)
