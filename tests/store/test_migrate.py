"""The migrations: from blank to the newest and back, the same on both databases."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, Table, create_engine, inspect, make_url, text
from sqlalchemy.exc import IntegrityError

from rag.errors import InvalidInput, StoreUnavailable
from rag.records import Document, Passage
from rag.store import migrate
from rag.store.collections import get_or_create_collection
from rag.store.database import Database, Session
from rag.store.datasets import create_dataset, list_datasets
from rag.store.documents import DocumentDetails, insert_document, mark_deleted
from rag.store.passages import replace_passages
from rag.store.tables import Base
from rag.text.clean import normalized_sha256

ROOT = Path(__file__).parents[2]
MOMENT = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The migrated database, seen without our own code."""
    engine = create_engine(make_url(database_url))
    yield engine
    engine.dispose()


def test_upgrade_from_blank_reaches_the_models(blank_database: Database) -> None:
    migrate.upgrade(blank_database)
    assert migrate.current_revision(blank_database) == migrate.head_revision()
    assert migrate.check(blank_database) == []
    migrate.require_current(blank_database)


def test_downgrade_leaves_nothing_and_upgrade_comes_back(database: Database) -> None:
    with database.write() as session:
        get_or_create_collection(session, "lost", embedding_model="model")
    migrate.downgrade(database, "base")
    with database.read() as session:
        inspector = inspect(session.connection())
        assert inspector.get_table_names() == ["alembic_version"]
        assert inspector.get_view_names() == []
    assert migrate.current_revision(database) is None
    migrate.upgrade(database)
    assert migrate.check(database) == []


def test_each_step_can_be_undone_with_rows_in_the_tables(database: Database) -> None:
    with database.write() as session:
        get_or_create_collection(session, "kept", embedding_model="model")
    migrate.downgrade(database, "0001")
    assert migrate.current_revision(database) == "0001"
    migrate.upgrade(database)
    with database.read() as session:
        assert session.scalar(text("SELECT name FROM collections")) == "kept"


def test_bands_of_documents_that_are_there_are_made(database: Database) -> None:
    with database.write() as session:
        collection_id = get_or_create_collection(session, "kept", embedding_model="model").id
        ids = [
            _insert_document(session, collection_id, "a", signature=bytes(range(128)) * 4),
            _insert_document(session, collection_id, "b", signature=bytes(reversed(range(128))) * 4),
            _insert_document(session, collection_id, "short", signature=None),
            _insert_document(session, collection_id, "deleted", signature=bytes(512)),
        ]
        mark_deleted(session, ids[-1])
        _insert_document(session, collection_id, "copy", signature=bytes(range(128)) * 4, duplicate_of=ids[0])
    rows = text("SELECT * FROM near_duplicate_bands ORDER BY document_id, band_hash")
    with database.read() as session:
        before = [tuple(row) for row in session.execute(rows)]
    assert sorted({document_id for *_, document_id in before}) == ids[:2]
    migrate.downgrade(database, "0004")
    migrate.upgrade(database)
    with database.read() as session:
        assert [tuple(row) for row in session.execute(rows)] == before


def test_words_of_passages_that_are_there_are_hashed(database: Database) -> None:
    words = ["Leave is  20\u00a0days.", "Ｌeave is\n20 days.", "Something else"]
    passages = [Passage(ordinal=n, start=n, end=n + 1, text=text, num_tokens=1) for n, text in enumerate(words)]
    with database.write() as session:
        collection_id = get_or_create_collection(session, "kept", embedding_model="model").id
        document_id = _insert_document(session, collection_id, "a")
        replace_passages(session, document_id, collection_id, 1, passages, None, "model")
    migrate.downgrade(database, "0010")
    migrate.upgrade(database)
    with database.read() as session:
        rows = session.execute(text("SELECT text_sha256, is_repeated FROM passages ORDER BY ordinal")).all()
    assert [row.text_sha256 for row in rows] == [normalized_sha256(one) for one in words]
    assert not any(row.is_repeated for row in rows)


def _insert_document(session: Session, collection_id: int, source: str, **details: Any) -> int:
    document = Document(
        source=source, file=source, title="", media_type="text/plain", text=source, sections=(), metadata={}
    )
    more = DocumentDetails(file_sha256="", text_sha256=source, pipeline="1", **details)
    return insert_document(session, collection_id, document, more)


def test_logged_passages_and_citations_get_the_origin_of_their_documents(database: Database) -> None:
    migrate.downgrade(database, "0004")
    _store_answer(database)
    migrate.upgrade(database)
    for table in ("answer_passages", "citations"):
        with database.read() as session:
            found = dict(session.execute(text(f"SELECT document_id, origin FROM {table}")).all())  # noqa: S608
        assert found == {1: "real", 2: "synthetic", 3: "real"}  # 3 is gone
    with database.read() as session:
        assert session.execute(
            text("SELECT first_origin, num_synthetic_citations, num_synthetic_passages, dataset FROM answer_review")
        ).one() == ("real", 1, 1, None)
    migrate.downgrade(database, "0004")
    with database.read() as session:
        assert session.scalar(text("SELECT num_passages FROM answer_review")) == 3


def test_datasets_do_not_stand_in_the_way_of_a_downgrade(database: Database) -> None:
    with database.write() as session:
        collection = get_or_create_collection(session, "kept", embedding_model="model")
    create_dataset(database, collection.id, name="v1")
    migrate.downgrade(database, "0004")
    migrate.upgrade(database)
    assert create_dataset(database, collection.id, name="v1").name == "v1"


def test_datasets_stay_and_drafts_of_them_go_when_drafts_are_not_known_any_more(
    database: Database,
) -> None:
    with database.write() as session:
        collection = get_or_create_collection(session, "kept", embedding_model="model")
        _insert_document(session, collection.id, "a", signature=None)
    whole = create_dataset(database, collection.id, name="whole")
    with database.write() as session:
        for statement in (
            "INSERT INTO datasets"
            " (collection_id, name, index_change_id, num_documents, num_real, num_synthetic, sha256, created_at)"
            " SELECT collection_id, 'draft', 0, 0, 0, 0, '', created_at FROM datasets",
            "INSERT INTO dataset_drafts SELECT max(id) FROM datasets",
            "INSERT INTO dataset_documents (dataset_id, source, document_id, document_version, text_sha256, origin)"
            " SELECT dataset_id + 1, source, document_id, document_version, text_sha256, origin FROM dataset_documents",
        ):
            session.execute(text(statement))
    migrate.downgrade(database, "0010")
    with database.read() as session:
        assert session.scalars(text("SELECT id FROM datasets")).all() == [whole.id]
        assert session.scalars(text("SELECT DISTINCT dataset_id FROM dataset_documents")).all() == [whole.id]
    for statement in ("DELETE FROM datasets", "DELETE FROM dataset_documents", "UPDATE datasets SET note = 'other'"):
        with database.write() as session, pytest.raises(IntegrityError, match="a dataset"):
            session.execute(text(statement))
    migrate.upgrade(database)
    with database.read() as session:
        assert list_datasets(session) == [whole]


def test_upgrading_again_changes_nothing(database: Database) -> None:
    migrate.upgrade(database)
    assert migrate.current_revision(database) == migrate.head_revision()


def test_two_processes_may_upgrade_at_once(blank_database: Database) -> None:
    other = Database(blank_database._url.render_as_string(hide_password=False))
    failures: list[BaseException] = []

    def upgrade_in_thread() -> None:
        try:
            with other.migrate() as connection:  # what upgrade takes first
                started.set()
                release.wait(5)
                connection.execute(text("SELECT 1"))
        except StoreUnavailable as error:
            failures.append(error)

    started, release = threading.Event(), threading.Event()
    thread = threading.Thread(target=upgrade_in_thread)
    thread.start()
    assert started.wait(5)
    threading.Timer(0.3, release.set).start()
    migrate.upgrade(blank_database)
    assert release.is_set()
    thread.join(5)
    other.dispose()
    assert failures == []


def test_check_names_what_differs(database: Database) -> None:
    with database.migrate() as connection:
        connection.execute(text("DROP TABLE evaluation_results"))
        connection.execute(text("CREATE TABLE extra (id INTEGER)"))
        connection.execute(text("DROP INDEX ix_documents_duplicate_of"))
    found = " ".join(migrate.check(database))
    assert "evaluation_results" in found
    assert "extra" in found
    assert "ix_documents_duplicate_of" in found


def test_check_constraints_of_database_and_models_are_the_same(engine: Engine) -> None:
    # Alembic does not compare these.
    inspector = inspect(engine)
    for table in Base.metadata.sorted_tables:
        wanted = {str(constraint.name) for constraint in table.constraints if str(constraint.name).startswith("ck_")}
        assert {constraint["name"] for constraint in inspector.get_check_constraints(table.name)} == wanted


def test_upgrade_makes_the_folder_of_an_sqlite_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'deep' / 'rag.db'}")
    migrate.upgrade(database)
    migrate.require_current(database)
    database.dispose()


def test_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path / 'file' / 'rag.db'}")
    with pytest.raises(StoreUnavailable, match="cannot be made .*; change data_dir, database_url or the folder"):
        migrate.upgrade(database)


def test_blank_database_is_not_current(blank_database: Database) -> None:
    with blank_database.migrate():
        pass
    with pytest.raises(StoreUnavailable, match="has no tables yet; run `rag db upgrade`"):
        migrate.require_current(blank_database)


def test_older_database_is_not_current(database: Database) -> None:
    migrate.downgrade(database, "0001")
    with pytest.raises(StoreUnavailable, match=r"at revision 0001 but .* needs .*; run `rag db upgrade`"):
        migrate.require_current(database)


def test_newer_database_asks_for_a_newer_program(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="at revision 9999, which a newer version of this program made"):
        migrate.require_current(database)
    with pytest.raises(StoreUnavailable, match="newer version of this program"):
        migrate.upgrade(database)


def test_unknown_revision_is_refused(sqlite_database: Database) -> None:
    with pytest.raises(InvalidInput, match="no revision 'nonsense'"):
        migrate.upgrade(sqlite_database, "nonsense")
    with pytest.raises(InvalidInput, match="no revision 'nonsense'"):
        migrate.downgrade(sqlite_database, "nonsense")


@pytest.mark.slow
def test_alembic_command_works_with_the_settings(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rag.db'}"

    def alembic(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:alembic", "-m", "alembic", *arguments],
            cwd=ROOT,
            env={**os.environ, "RAG_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert "CREATE VIEW answer_review" in alembic("upgrade", "head", "--sql")
    assert not (tmp_path / "rag.db").exists()
    alembic("upgrade", "head")
    assert "(head)" in alembic("current")
    assert "No new upgrade operations detected" in alembic("check")


def _store_answer(database: Database) -> None:
    """As revision 0004 has it: a real and a synthetic document, and an answer that cites these and one that is gone."""
    stored = {"tags": {}, "metadata": {}, "version": 1, "text_sha256": "x", "pipeline": "1"}
    stored |= {"file": "f", "file_sha256": "x", "title": "T", "media_type": "text/plain", "updated_at": MOMENT}
    cited = {"answer_id": 1, "passage_id": 1, "document_version": 1, "title": "T", "source": "s", "start_char": 0}
    with database.write() as session:

        def store(table: str, /, **values: object) -> None:
            session.execute(Table(table, MetaData(), autoload_with=session.connection()).insert().values(**values))

        store("collections", id=1, name="c", embedding_model="m", created_at=MOMENT)
        for number, origin in ((1, "real"), (2, "synthetic")):
            source = f"s{number}"
            store("documents", id=number, collection_id=1, source=source, origin=origin, created_at=MOMENT, **stored)
        asked = {"question": "q", "answer": "a", "abstained": False, "confidence": 1.0, "settings": {}}
        made = {"model": "m", "embedding_model": "m", "index_change_id": 0, "created_at": MOMENT}
        store("answers", id=1, collection_id=1, **asked, **made)
        for number in (1, 2, 3):
            shown = {"headings": [], "text": "t", "also_in": []}
            store("answer_passages", rank=number, document_id=number, end_char=1, **cited, **shown)
            store("citations", ordinal=number, document_id=number, end_char=1, quote="q", **cited)
