"""What an answer says of the languages of its question and of what it cites."""

from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.notes import language_notes
from rag.records import Citation, Hit, HitScores
from rag.text.language import LanguageDetector

GERMAN = "Die Brücke von Lund wurde im Jahr 1911 von Elsa gebaut, und niemand weiß, warum sie so schmal ist."


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector(["en"])


def _hit(passage_id: int, text: str) -> Hit:
    return Hit(
        passage_id=passage_id,
        document_id=1,
        document_version=1,
        title="Brücken",
        source="s",
        origin="real",
        headings=(),
        page=None,
        row=None,
        start=0,
        end=len(text),
        text=text,
        scores=HitScores(),
    )


def _citation(passage_id: int) -> Citation:
    return Citation(
        passage_id=passage_id,
        document_id=1,
        document_version=1,
        title="Brücken",
        source="s",
        origin="real",
        page=None,
        row=None,
        start=0,
        end=3,
        quote="Die",
    )


def test_question_in_an_unknown_language_is_noted_in_one_sentence(detector: LanguageDetector) -> None:
    assert language_notes(detector, "Wer hat die Brücke von Lund gebaut?", (), ()) == (
        "The question seems to be in German, a language that the models do not know; ask in English for an answer to "
        "rely on.",
    )
    assert language_notes(detector, "Who built the bridge of Lund?", (), ()) == ()


def test_cited_passage_in_an_unknown_language_is_noted_and_others_are_not(detector: LanguageDetector) -> None:
    hits = [_hit(1, GERMAN), _hit(2, "The bridge of Lund was built by Elsa in 1911, and it is very narrow.")]
    (note,) = language_notes(detector, "Who built the bridge?", [_citation(1)], hits)
    assert note.startswith("The cited passage of Brücken seems to be in German")
    assert language_notes(detector, "Who built the bridge?", [_citation(2)], hits) == ()


@pytest.mark.slow
def test_notes_are_given_and_logged_with_the_answer(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "bridges.txt").write_text("The bridge of Lund was built by Elsa in 1911.")
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as service:
        service.ingest(tmp_path / "bridges.txt")
        asked = service.ask("Wer hat die Brücke von Lund gebaut?")
        assert len(asked.notes) == 1
        assert service.replay(asked.id).same
        assert service.ask("Who built the bridge of Lund?").notes == ()
    silent = Settings(database_url=sqlite_url, data_dir=tmp_path / "data", known_languages=("en", "de"))
    with Rag(silent) as service:
        assert service.ask("Wer hat die Brücke von Lund gebaut?").notes == ()
