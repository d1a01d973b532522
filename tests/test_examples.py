"""The handbook, its questions and the demo are what their README says."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.text.normalize_answer import exact_match
from rag.training.squad import load_squad

EXAMPLES = Path(__file__).parents[1] / "examples"
HANDBOOK = EXAMPLES / "handbook"


@pytest.fixture(scope="module")
def settings(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "rag.db").write_bytes(migrated_sqlite_file.read_bytes())
    return Settings(data_dir=folder)


@pytest.fixture(scope="module")
def service(settings: Settings) -> Rag:
    with Rag(settings) as opened:
        report = opened.ingest(HANDBOOK)
        assert (report.num_exact_duplicates, report.num_near_duplicates, report.num_refused) == (2, 3, 1)
        assert report.refused[0].source.endswith("archive/damaged-scan.pdf")
        yield opened


def test_handbook_has_all_formats_and_enough_documents() -> None:
    files = [path for path in HANDBOOK.rglob("*") if path.is_file()]
    assert len(files) >= 25
    assert {path.suffix for path in files} == {".md", ".html", ".txt", ".pdf", ".docx", ".csv", ".jsonl"}


def test_thirty_questions_are_well_formed_and_name_their_document() -> None:
    squad = load_squad(EXAMPLES / "questions.json")
    assert len(squad.questions) == 30
    assert sum(not question.answers for question in squad.questions) == 4
    for question in squad.questions:
        for answer, start in question.answers:
            assert squad.paragraphs[question.paragraph].text[start : start + len(answer)] == answer
    raw = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
    sources = {paragraph["source"] for article in raw["data"] for paragraph in article["paragraphs"]}
    assert all((HANDBOOK / source).is_file() for source in sources)
    assert {Path(source).suffix for source in sources} >= {".pdf", ".csv", ".docx", ".html", ".jsonl", ".txt", ".md"}


def test_most_questions_are_answered_rightly_from_the_right_document(service: Rag) -> None:
    squad = load_squad(EXAMPLES / "questions.json")
    num_right = 0
    for asked in squad.questions:
        answer = service.ask(asked.question)
        num_right += exact_match(answer.answer, [text for text, _ in asked.answers]) == 1.0
    assert num_right >= 22  # the README states the exact figure


def test_demo_shows_answers_with_their_quote_and_the_logged_rows(service: Rag, settings: Settings) -> None:
    environment = {**os.environ, "RAG_DATA_DIR": str(settings.data_dir), "HF_HUB_OFFLINE": "1"}
    demo = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py"], capture_output=True, text=True, env=environment, timeout=180
    )
    assert demo.returncode == 0, demo.stderr
    assert "Only the head of operations or «her deputy» may declare a disaster." in demo.stdout
    assert "page 2" in demo.stdout
    assert "row 3" in demo.stdout
    assert "Not in these documents." in demo.stdout
    assert "FROM answer_review" in demo.stdout
    assert service.database is not None


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_binary_documents", EXAMPLES / "make_binary_documents.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_binary_documents_are_those_that_the_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = _script()
    for folder in ("team", "models", "archive"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(script, "HANDBOOK", tmp_path)
    script.main()
    for path in tmp_path.rglob("*.pdf"):
        assert path.read_bytes() == (HANDBOOK / path.relative_to(tmp_path)).read_bytes()
    assert len(list(tmp_path.rglob("*.docx"))) == 2
