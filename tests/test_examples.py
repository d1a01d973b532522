"""The handbook, its questions and the demo are what their README says."""

import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.store.database import Database
from rag.store.training_runs import list_training_runs, training_curves
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


def _run_training(
    name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[str, list[float]]:
    """What a training example prints, and the figures at the beginning of its lines: the baseline's, then its own."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capsys.readouterr().out
    found = re.findall(r"^(?:bigram|unigram|nearest pair|transformer) +([\d.]+)", printed, re.MULTILINE)
    return printed, [float(figure) for figure in found]


@pytest.mark.slow
def test_names_are_learnt_better_than_by_bigrams_and_the_run_is_recorded(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAG_DATABASE_URL", sqlite_url)
    printed, (bigram, transformer) = _run_training(
        "names.py", "--steps", "120", "--record", "--folder", str(tmp_path), monkeypatch=monkeypatch, capsys=capsys
    )
    assert 2.3 < bigram < 2.6
    assert transformer < bigram - 0.1
    assert len(printed.split("invented: ")[1].split(", ")) == 20
    database = Database(sqlite_url)
    with database.read() as session:
        (run,) = list_training_runs(session)
        curves = training_curves(session, run.id)
    database.dispose()
    assert (run.kind, run.status, run.step, run.seed) == ("names", "finished", 120, 1)
    assert run.scores is not None
    assert run.scores["test_loss"] == pytest.approx(transformer, abs=1e-3)
    assert run.data_files[0].path.endswith("names.txt")
    assert [step for step, _ in curves["loss"]] == [100, 120]


@pytest.mark.slow
def test_blanks_are_filled_better_than_by_the_most_frequent_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, (unigram, transformer) = _run_training(
        "masked_language_model.py", "--steps", "80", monkeypatch=monkeypatch, capsys=capsys
    )
    assert transformer < unigram - 0.2
    assert printed.count("[") == 8


@pytest.mark.slow
def test_texts_are_rewritten_better_than_by_copying_the_nearest_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Dates take minutes to learn; numbers spelt digit by digit take seconds.
    words = ("o", "i", "z", "e", "h", "s", "b", "t", "x", "g")
    data = tmp_path / "digits.tsv"
    data.write_text("".join(f"{''.join(words[int(d)] for d in f'{n:03}')}\t{n:03}\n" for n in range(1_000)))
    printed, (nearest, transformer) = _run_training(
        "text_to_text.py", "--data", str(data), "--steps", "250", monkeypatch=monkeypatch, capsys=capsys
    )
    assert transformer > 90 > nearest
    assert "->" in printed


def test_training_data_is_what_the_rules_write() -> None:
    made = runpy.run_path(str(EXAMPLES / "make_training_data.py"))
    for name, lines in (("sentences.txt", made["sentences"]()), ("dates.tsv", made["dates"]())):
        assert (EXAMPLES / "data" / name).read_text(encoding="utf-8").splitlines() == lines
    names = (EXAMPLES / "data/names.txt").read_text(encoding="utf-8").splitlines()
    assert names == sorted(set(names))
    assert all(re.fullmatch("[a-z]{2,}", name) for name in names)


def test_examples_refuse_data_that_they_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"error: Cannot read .*none"):
        _run_training("names.py", "--data", str(tmp_path / "none"), monkeypatch=monkeypatch, capsys=capsys)
    (tmp_path / "bad.tsv").write_text("no tab\n")
    with pytest.raises(SystemExit, match="error: .*one tab"):
        _run_training("text_to_text.py", "--data", str(tmp_path / "bad.tsv"), monkeypatch=monkeypatch, capsys=capsys)
