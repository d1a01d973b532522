"""A database of any earlier version upgrades with its rows and still answers; a downgrade works or changes nothing."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, inspect, text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import StoreUnavailable
from rag.index.embedder import CARRIED_MODEL, Embedder
from rag.store import migrate
from rag.store.answer_review import list_answers
from rag.store.database import Database, Session
from rag.text.clean import normalized_sha256

MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
WORDS = "The support rota is kept by Amara Diallo."
REVISIONS = sorted(path.name[:4] for path in (Path(__file__).parents[2] / "migrations" / "versions").glob("0*.py"))
BEFORE_ANSWERS = "0002"

RANGE = {"start_char": 0, "end_char": len(WORDS)}
PLACE = {"document_id": 1, "document_version": 1, "page": 1, "row": None}
NAMED = {"title": "Support", "source": "file:///support.txt"}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("collections", {"id": 1, "name": "default", "embedding_model": CARRIED_MODEL, "created_at": MOMENT}),
    (
        "documents",
        {"id": 1, "collection_id": 1, "file": "file:///support.txt", "file_sha256": "f", "media_type": "text/plain"}
        | {
            "origin": "real",
            "tags": {"team": "ops"},
            "metadata": {"year": 2025},
            "version": 1,
            "pipeline": "1",
            **NAMED,
        }
        | {"text_sha256": normalized_sha256(WORDS), "created_at": MOMENT, "updated_at": MOMENT},
    ),
    ("document_attributes", {"document_id": 1, "is_tag": True, "name": "team", "text": "ops"}),
    ("document_attributes", {"document_id": 1, "is_tag": False, "name": "year", "text": "2025", "number": 2025.0}),
    (
        "embedding_generations",
        {"collection_id": 1, "embedding_model": CARRIED_MODEL, "status": "active", "created_at": MOMENT},
    ),
    (
        "document_versions",
        {"id": 1, "document_id": 1, "version": 1, "title": "Support", "text": WORDS, "sections": []}
        | {"text_sha256": normalized_sha256(WORDS), "created_at": MOMENT},
    ),
    ("passages", {"id": 1, "ordinal": 0, "text": WORDS, "headings": [], "num_tokens": 9, **RANGE, **PLACE}),
    ("passage_embeddings", {"passage_id": 1, "embedding_model": CARRIED_MODEL}),
    ("index_changes", {"id": 1, "collection_id": 1, "passage_id": 1, "operation": "add", "created_at": MOMENT}),
    (
        "ingestion_runs",
        {"id": 1, "collection_id": 1, "paths": ["/support.txt"], "status": "finished", "started_at": MOMENT}
        | {f"num_{what}": 0 for what in ("updated", "unchanged", "exact_duplicates", "near_duplicates", "refused")}
        | {"num_added": 1, "num_removed": 0, "num_passages": 1, "finished_at": MOMENT},
    ),
    ("ingestion_failures", {"id": 1, "run_id": 1, "source": "s", "reason": "r", "created_at": MOMENT}),
    (
        "answers",
        {"id": 1, "collection_id": 1, "question": "Who?", "answer": "Amara Diallo", "abstained": False}
        | {"confidence": 0.9, "model": "reader", "embedding_model": CARRIED_MODEL, "index_change_id": 1}
        | {"settings": {"top_k": 8}, "total_ms": 80.0, "created_at": MOMENT},
    ),
    (
        "answer_passages",
        {"answer_id": 1, "rank": 1, "passage_id": 1, "headings": [], "text": WORDS, "also_in": []}
        | {**RANGE, **PLACE, **NAMED},
    ),
    (
        "citations",
        {"answer_id": 1, "ordinal": 1, "passage_id": 1, "quote": "Amara Diallo", "start_char": 28, "end_char": 40}
        | {**PLACE, **NAMED},
    ),
    (
        "answer_scores",
        {"answer_id": 1, "metric": "confidence", "value": 0.9, "scorer": "rag", "scorer_version": "1"}
        | {"created_at": MOMENT},
    ),
    ("feedback", {"id": 1, "answer_id": 1, "rating": 1, "comment": "yes", "created_at": MOMENT}),
]


@pytest.fixture
def at_revision(database: Database, embedder: Embedder) -> Callable[[str], Database]:
    """A database of an earlier revision, with a row in each table that it then had of those above."""
    vector = embedder.embed([WORDS])[0].astype("<f2").tobytes()

    def make(revision: str) -> Database:
        migrate.downgrade(database, revision)
        with database.write() as session:
            _write_rows(session, vector)
        return database

    return make


def _write_rows(session: Session, vector: bytes) -> None:
    there = set(inspect(session.connection()).get_table_names())
    for name, values in ROWS:
        if name in there:
            table = Table(name, MetaData(), autoload_with=session.connection())
            more = {"vector": vector} if name == "passage_embeddings" else {}
            session.execute(table.insert().values({**values, **more}))
    if session.get_bind().dialect.name == "postgresql":  # ids were given, so the sequences have not counted
        for name, values in ROWS:
            if name in there and "id" in values:
                session.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), 1)"))  # noqa: S608


@pytest.mark.slow
@pytest.mark.parametrize("revision", REVISIONS)
def test_database_of_every_revision_upgrades_with_its_rows_answers_and_takes_documents(
    at_revision: Callable[[str], Database], database_url: str, revision: str, tmp_path: Path
) -> None:
    database = at_revision(revision)
    with pytest.raises(StoreUnavailable, match="rag db upgrade") if revision != REVISIONS[-1] else nullcontext():
        migrate.require_current(database)
    migrate.upgrade(database)
    migrate.require_current(database)
    assert migrate.check(database) == []
    with database.read() as session:
        there = set(inspect(session.connection()).get_table_names())
        for name, values in ROWS:
            is_later = revision < BEFORE_ANSWERS and ("answer" in name or "answer_id" in values)
            expected = 0 if is_later else [written for written, _ in ROWS].count(name)
            assert name in there
            assert session.scalar(text(f"SELECT count(*) FROM {name}")) == expected, name  # noqa: S608
        logged = list_answers(session)
    assert [row.answer for row in logged] == ([] if revision < BEFORE_ANSWERS else ["Amara Diallo"])
    assert [(row.rating, row.first_quote) for row in logged] == [(1, "Amara Diallo")] * len(logged)
    (tmp_path / "history.txt").write_text("The company moved to Porto in 1994.")
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as service:
        answer = service.ask("Who keeps the support rota?", filters={"team": "ops", "year": {"$gte": 2024}})
        assert answer.answer == "Amara Diallo"
        assert answer.citations[0].quote == WORDS[answer.citations[0].start : answer.citations[0].end]
        service.ingest(tmp_path / "history.txt")
        assert "1994" in service.ask("When did the company move to Porto?").answer


@pytest.mark.parametrize("revision", REVISIONS)
def test_downgrade_to_every_revision_and_back_keeps_its_rows(
    at_revision: Callable[[str], Database], revision: str
) -> None:
    database = at_revision(REVISIONS[-1])
    migrate.downgrade(database, revision)
    assert migrate.current_revision(database) == revision
    migrate.upgrade(database)
    assert migrate.check(database) == []
    with database.read() as session:
        assert session.scalar(text("SELECT text FROM passages")) == WORDS
        assert len(list_answers(session)) == (0 if revision < BEFORE_ANSWERS else 1)


def test_step_that_fails_leaves_the_database_as_it_was(
    at_revision: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = at_revision(REVISIONS[-1])
    with database.read() as session:
        before = sorted(inspect(session.connection()).get_table_names())

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("alembic.op.drop_column", fail)  # some revisions down, after others have dropped their tables
    with pytest.raises(RuntimeError, match="power cut"):
        migrate.downgrade(database, "0001")
    assert migrate.current_revision(database) == migrate.head_revision()
    with database.read() as session:
        assert sorted(inspect(session.connection()).get_table_names()) == before
    assert migrate.check(database) == []
