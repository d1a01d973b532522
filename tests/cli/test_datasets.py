"""Documents that go out and come in, and datasets, on the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, NotFound, RagError

Run = Callable[..., str]


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path) -> Run:
    """``rag`` inside this process, over one fresh database; returns standard output."""

    def run(*arguments: str, status: int = 0, given: bytes = b"") -> str:
        options = ["--database-url", sqlite_url, "--data-dir", str(tmp_path / "data")]
        result = CliRunner().invoke(app, [*options, *arguments], input=given)
        if isinstance(result.exception, RagError):
            raise result.exception
        assert result.exit_code == status, (result.output, result.exception)
        return result.stdout

    return run


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Run:
    """The same with a real and a synthetic document."""
    (tmp_path / "rota.txt").write_text("The support rota is kept by Amara Diallo.")
    (tmp_path / "whales.txt").write_text("Whales are mammals. They breathe air 🦩.")
    run("ingest", str(tmp_path / "rota.txt"), "--tag", "team=ops")
    run("ingest", str(tmp_path / "whales.txt"), "--origin", "synthetic")
    return run


def test_documents_go_out_and_come_in_again(filled: Run, tmp_path: Path) -> None:
    exported = filled("documents", "export")
    assert [json.loads(line)["origin"] for line in exported.splitlines()] == ["real", "synthetic"]
    assert "🦩" in exported
    (only,) = filled("documents", "export", "--filter", "team=ops").splitlines()
    assert json.loads(only)["tags"] == {"team": "ops"}

    path = tmp_path / "export.jsonl"
    path.write_text("an earlier export")
    assert filled("documents", "export", "--output", str(path)) == ""
    assert path.read_text() == exported
    assert not list(tmp_path.glob(".export*"))

    report = json.loads(filled("documents", "import", str(path), "--collection", "copy", "--json"))
    assert (report["num_added"], report["num_real"], report["num_synthetic"]) == (2, 1, 1)
    shown = filled("documents", "import", "-", "--collection", "copy", given=exported.encode())
    assert "unchanged" in shown
    assert "Amara Diallo" in filled("search", "support rota", "--collection", "copy", "--top-k", "1")


def test_repeated_passages_are_listed_and_what_was_reused_is_said(run: Run, tmp_path: Path) -> None:
    notice = "Nothing in this text may be copied or handed on by anybody without written consent. " * 3
    (tmp_path / "docs").mkdir()
    for number in range(6):
        own = " ".join(f"{number}x{place}" for place in range(60))
        words = f"# Title {number}\n\n## Own\n\n{own}\n\n## Legal\n\n{notice}\n"
        (tmp_path / "docs" / f"{number}.md").write_text(words)
    report = json.loads(run("ingest", str(tmp_path / "docs"), "--access-label", "legal", "--json"))
    assert report["num_passages_reused"] == 5
    assert "passages reused" in run("ingest", str(tmp_path / "docs"), "--status")
    (passage,) = json.loads(run("documents", "repeated", "--json"))["repeated"]
    assert (passage["num_documents"], passage["num_passages"]) == (6, 6)
    assert "Nothing in this text" in passage["text"]
    assert "Nothing in this text" in run("documents", "repeated")
    assert json.loads(run("documents", "repeated", "--access-label", "other", "--json")) == {"repeated": []}


def test_bad_line_is_shown_with_its_number_and_status_3(filled: Run, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text(filled("documents", "export") + "nonsense\n")
    shown = filled("documents", "import", str(path), "--collection", "copy", status=3)
    assert "export.jsonl#line=3" in shown
    assert "Line 3: invalid JSON" in shown
    assert json.loads(filled("documents", "import", str(path), "--json", status=3))["num_unchanged"] == 2


def test_failed_export_leaves_the_earlier_file(filled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bytes:
        raise InvalidInput("no more")

    path = tmp_path / "export.jsonl"
    path.write_text("an earlier export")
    monkeypatch.setattr("rag.ingest.document_lines.to_line", fail)
    with pytest.raises(InvalidInput, match="no more"):
        filled("documents", "export", "--output", str(path))
    assert path.read_text() == "an earlier export"
    assert not list(tmp_path.glob(".export*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["documents", "export", "--output", "{tmp}/none/export.jsonl"], "Cannot write .*: No such file"),
        (["documents", "export", "--filter", "team"], "name=value"),
        (["documents", "export", "--collection", "nope"], "no collection 'nope'"),
        (["documents", "import", "{tmp}/none.jsonl"], "Cannot read .*: No such file"),
        (["datasets", "create", "x", "--collection", "nope"], "no collection 'nope'"),
        (["datasets", "create", " "], "needs a name"),
        (["datasets", "show", "x"], "no dataset 'x'; it has none"),
        (["datasets", "diff", "x", "y"], "no dataset 'x'; it has none"),
    ],
)
def test_wrong_input_is_one_clear_sentence(filled: Run, tmp_path: Path, arguments: list[str], words: str) -> None:
    with pytest.raises((InvalidInput, NotFound), match=words):
        filled(*(argument.format(tmp=tmp_path) for argument in arguments))


@pytest.mark.usefixtures("filled")
def test_export_loads_no_model(sqlite_url: str, tmp_path: Path) -> None:
    code = (
        "import sys; from rag.cli.main import app\n"
        "try: app()\n"
        "finally: assert 'torch' not in sys.modules and 'faiss' not in sys.modules, 'a model'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--database-url", sqlite_url, "documents", "export"],
        capture_output=True,
        env={**os.environ, "RAG_DATA_DIR": str(tmp_path)},
        timeout=120,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr


def test_story_of_two_datasets(filled: Run, tmp_path: Path) -> None:
    made = json.loads(filled("datasets", "create", "June", "--note", "as sent out", "--json"))
    assert (made["num_documents"], made["num_real"], made["num_synthetic"]) == (2, 1, 1)
    answer = json.loads(filled("ask", "Who keeps the support rota?", "--json"))
    (tmp_path / "rota.txt").write_text("The support rota is kept by Jonas Weber.")
    (tmp_path / "copy.txt").write_text("Whales are mammals. They breathe air 🦩.")
    filled("ingest", str(tmp_path / "rota.txt"), str(tmp_path / "copy.txt"))
    later = json.loads(filled("ask", "Who keeps the support rota?", "--json"))
    assert "2 real and 1 synthetic" in filled("datasets", "create", "July")

    shown = json.loads(filled("answers", "show", str(answer["id"]), "--json"))
    assert (shown["dataset_id"], shown["dataset"]) == (made["id"], "June")
    assert "asked of dataset June of default" in filled("answers", "show", str(answer["id"]))
    assert json.loads(filled("answers", "show", str(later["id"]), "--json"))["dataset"] is None
    rows = json.loads(filled("answers", "list", "--json"))["answers"]
    assert [row["dataset"] for row in rows] == [None, "June"]

    assert [d["name"] for d in json.loads(filled("datasets", "list", "--json"))["datasets"]] == ["June", "July"]
    assert "as sent out" in filled("datasets", "list", "--collection", "default")
    content = json.loads(filled("datasets", "show", "June", "--limit", "1", "--json"))
    assert (content["dataset"], len(content["documents"])) == (made, 1)
    assert "whales.txt" in filled("datasets", "show", "June", "--cursor", content["next"])
    diff = json.loads(filled("datasets", "diff", "June", "July", "--json"))
    assert (diff["num_added"], diff["num_removed"], diff["num_changed"]) == (1, 0, 1)
    assert [(d["source"].rpartition("/")[2], d["kind"]) for d in diff["differences"]] == [
        ("copy.txt", "added"),
        ("rota.txt", "changed"),
    ]
    told = filled("datasets", "diff", "June", "July")
    assert "1 added, 0 removed, 1 changed" in told
    assert diff["differences"][1]["text_sha256_after"][:12] in told


def test_empty_list_of_datasets_is_a_hint(run: Run) -> None:
    assert json.loads(run("datasets", "list", "--json")) == {"datasets": [], "next": None}
    assert run("datasets", "list") == ""


def test_synthetic_documents_say_so_wherever_they_are_shown(filled: Run, tmp_path: Path) -> None:
    (tmp_path / "copy.txt").write_text("The support rota is kept by Amara Diallo.")
    filled("ingest", str(tmp_path / "copy.txt"), "--origin", "synthetic")
    (collection,) = json.loads(filled("collections", "list", "--json"))["collections"]
    assert (collection["num_documents"], collection["num_real"], collection["num_synthetic"]) == (3, 1, 2)
    assert "synthetic" in filled("collections", "list")
    (stats,) = json.loads(filled("index", "stats", "--json"))["indexes"]
    assert (stats["num_real"], stats["num_synthetic"]) == (1, 2)
    hits = json.loads(filled("search", "whales and the support rota", "--json"))["hits"]
    assert {hit["title"]: hit["origin"] for hit in hits} == {"rota": "real", "whales": "synthetic"}
    assert [other["origin"] for hit in hits for other in hit["also_in"]] == ["synthetic"]
    shown = filled("search", "whales and the support rota")
    assert "[synthetic])" in shown
    answer = json.loads(filled("ask", "What are whales?", "--filter", "origin=synthetic", "--no-abstain", "--json"))
    assert [citation["origin"] for citation in answer["citations"]] == ["synthetic"]
    assert "whales.txt [synthetic]" in filled("ask", "What are whales?", "--filter", "origin=synthetic", "--no-abstain")
    assert "of whales [synthetic]" in filled("answers", "show", str(answer["id"]))
    row = json.loads(filled("answers", "list", "--json"))["answers"][0]
    assert (row["first_origin"], row["num_synthetic_citations"], row["num_synthetic_passages"]) == ("synthetic", 1, 2)
    report = json.loads(filled("ingest", str(tmp_path / "copy.txt"), "--origin", "synthetic", "--json"))
    assert (report["num_unchanged"], report["num_real"], report["num_synthetic"]) == (1, 0, 1)
    preview = json.loads(filled("ingest", str(tmp_path / "rota.txt"), "--tag", "team=ops", "--dry-run", "--json"))
    assert (preview["num_unchanged"], preview["num_real"], preview["num_synthetic"]) == (1, 1, 0)
