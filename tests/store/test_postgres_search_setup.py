"""Setting up the search inside PostgreSQL: where it can be, once, over what is there; and taking it away again."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sqlalchemy import text

from rag.errors import InvalidInput, StoreUnavailable
from rag.records import Document, Passage, Section
from rag.store import migrate, postgres_search_setup
from rag.store.collections import get_or_create_collection
from rag.store.database import Database, Session
from rag.store.documents import DocumentDetails, insert_document, mark_deleted, update_metadata
from rag.store.passages import replace_passages
from rag.store.postgres_graphs import count_vectors, count_words
from rag.store.postgres_search import find_generation, scan_vectors, search_words
from rag.store.postgres_search_setup import require_search, set_up_search

VALUES = [1.0, -0.5, 6e-8, -0.0, 65504.0, 0.33325]
"""Among them the smallest and the largest value of 16 bits."""


@pytest.fixture
def plain(postgres_copy: str) -> Iterator[Database]:
    """A migrated database without the search."""
    database = Database(postgres_copy, busy_timeout=5)
    yield database
    database.dispose()


def _add(database: Database, words: str) -> int:
    with database.write() as session:
        collection = get_or_create_collection(session, "c", embedding_model="model")
        document = Document(
            source=words,
            file=words,
            title="Title",
            media_type="text/plain",
            text=words,
            sections=(Section(start=0, end=len(words)),),
        )
        details = DocumentDetails(file_sha256="", text_sha256=words, pipeline="")
        document_id = insert_document(session, collection.id, document, details)
        passage = Passage(ordinal=0, start=0, end=len(words), text=words, num_tokens=1)
        vectors = np.array([VALUES], dtype=np.float16)
        return replace_passages(session, document_id, collection.id, 1, [passage], vectors, "model")[0]


def _found(database: Database, query: str) -> list[int]:
    with database.read() as session:
        generation = find_generation(session, 1, "model")
        assert generation is not None
        vector = np.eye(len(VALUES), dtype=np.float16)[0]
        return [hit[0] for hit in search_words(session, 1, query, limit=9, generation=generation, vector=vector)]


def test_what_was_there_before_is_found_and_what_comes_later_too(plain: Database) -> None:
    _add(plain, "red apple")
    assert set_up_search(plain)
    _add(plain, "green apple")
    assert _found(plain, "apple") == [1, 2]
    require_search(plain)


@pytest.fixture
def between(plain: Database, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Three documents in a database whose search is filled one by one; the list is called after the first."""
    for words in ("red apple", "green pear", "blue plum"):
        _add(plain, words)
    steps: list[Callable[[], object]] = []
    fill_batch, lock_collection = postgres_search_setup._fill_batch, postgres_search_setup.lock_collection
    filled: list[int | None] = []

    def fill(session: Session, collection_id: int, after_id: int) -> int | None:
        filled.append(fill_batch(session, collection_id, after_id))
        return filled[-1]

    def lock(session: Session, collection_id: int) -> None:
        while filled and steps:
            steps.pop(0)()
        lock_collection(session, collection_id)

    monkeypatch.setattr(postgres_search_setup, "BATCH", 1)
    monkeypatch.setattr(postgres_search_setup, "_fill_batch", fill)
    monkeypatch.setattr(postgres_search_setup, "lock_collection", lock)
    return steps


def test_others_write_while_it_is_filled(plain: Database, between: list[Callable[[], object]]) -> None:
    def write() -> None:
        with plain.write(soon=True) as session:
            mark_deleted(session, 2)
            update_metadata(session, 3, title="Cherry")
        assert _add(plain, "black apple") == 4
        with pytest.raises(StoreUnavailable, match="is being filled"):
            require_search(plain)

    between.append(write)
    assert set_up_search(plain)
    assert not between
    assert [_found(plain, query) for query in ("apple", "pear", "plum", "cherry")] == [[1, 4], [], [3], [3]]
    with plain.read() as session:
        counts = count_words(session, 1)
        generation = find_generation(session, 1, "model")
        assert generation is not None
        assert count_vectors(session, generation) == 3
    assert counts.kept == counts.counted == (3, 9, 9)


def test_what_was_broken_off_goes_on(plain: Database, between: list[Callable[[], object]]) -> None:
    def break_off() -> None:
        raise KeyboardInterrupt

    between.append(break_off)
    with pytest.raises(KeyboardInterrupt):
        set_up_search(plain)
    assert _found(plain, "apple pear plum") == [1]
    with pytest.raises(StoreUnavailable, match="run it again if it was broken off"):
        require_search(plain)
    assert set_up_search(plain)
    require_search(plain)
    assert _found(plain, "apple pear plum") == [1, 2, 3]


def test_setting_up_again_changes_nothing_and_another_version_is_made_anew(
    plain: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_search(plain)
    _add(plain, "red apple")
    assert not set_up_search(plain)
    monkeypatch.setattr(postgres_search_setup, "VERSION", "newer")
    with pytest.raises(StoreUnavailable, match="rag db upgrade"):
        require_search(plain)
    assert set_up_search(plain)
    assert _found(plain, "apple") == [1]


def test_every_value_of_a_vector_is_kept_exactly(plain: Database) -> None:
    set_up_search(plain)
    _add(plain, "red apple")
    with plain.read() as session:
        generation = find_generation(session, 1, "model")
        assert generation is not None
        for place, value in enumerate(np.array(VALUES, dtype=np.float16)):
            one = np.zeros(len(VALUES), dtype=np.float16)
            one[place] = 1
            assert scan_vectors(session, generation, one, limit=1)[0][1] == value


def test_database_with_the_search_is_what_the_migrations_make(plain: Database) -> None:
    set_up_search(plain)
    assert migrate.check(plain) == []
    migrate.downgrade(plain, "base")
    migrate.upgrade(plain)
    assert migrate.check(plain) == []


def test_dropped_schema_leaves_a_database_that_works(plain: Database) -> None:
    set_up_search(plain)
    _add(plain, "red apple")
    with plain.migrate() as connection:
        connection.execute(text("DROP SCHEMA rag_search CASCADE"))
    _add(plain, "green apple")
    with pytest.raises(StoreUnavailable, match="not set up"):
        require_search(plain)
    assert set_up_search(plain)
    with plain.read() as session:
        counts = count_words(session, 1)
    assert counts.kept == counts.counted == (2, 6, 6)


@pytest.mark.parametrize(
    ("installed", "available", "message"),
    [
        (None, None, "has no pgvector; install the extension 0.8 or later there, or set search to embedded"),
        (None, "0.7.4", "has pgvector 0.7.4; install 0.8"),
        ("0.5.0", "0.8.1", "ALTER EXTENSION vector UPDATE"),
    ],
)
def test_server_without_a_fitting_pgvector_is_told_and_left_as_it_is(
    plain: Database, monkeypatch: pytest.MonkeyPatch, installed: str | None, available: str | None, message: str
) -> None:
    said = text("SELECT CAST(:installed AS text), CAST(:available AS text)").bindparams(
        installed=installed, available=available
    )
    monkeypatch.setattr(postgres_search_setup, "_EXTENSION", said)
    with pytest.raises(InvalidInput, match=message):
        set_up_search(plain)
    with plain.read() as session:
        assert session.scalar(text("SELECT to_regnamespace('rag_search')")) is None
    _add(plain, "red apple")


def test_user_who_may_not_make_extensions_is_told(plain: Database) -> None:
    with plain.migrate() as connection:
        connection.execute(text("DROP EXTENSION IF EXISTS vector"))
        connection.execute(text(f"CREATE ROLE {(name := f'u{plain.url.database}')}"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}"))
    weak = Database(plain.url.update_query_dict({"options": f"-c role={name}"}).render_as_string(hide_password=False))
    with pytest.raises(StoreUnavailable, match="refuses this user .*extension"):
        set_up_search(weak)
    weak.dispose()


def test_database_of_another_encoding_is_told(plain: Database) -> None:
    name = f"{plain.url.database}_latin"
    with plain.autocommit() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'"))
    database = Database(plain.url.set(database=name).render_as_string(hide_password=False))
    with pytest.raises(InvalidInput, match="encoding LATIN1; make a database with UTF8"):
        set_up_search(database)
    database.dispose()


def test_long_document_is_taken_in_by_few_statements(plain: Database) -> None:
    set_up_search(plain)
    with plain.write() as session:
        collection = get_or_create_collection(session, "c", embedding_model="model")
        words = "red apple " * 1_200
        document = Document(
            source="long",
            file="long",
            title="",
            media_type="text/plain",
            text=words,
            sections=(Section(start=0, end=len(words)),),
        )
        details = DocumentDetails(file_sha256="", text_sha256="long", pipeline="")
        document_id = insert_document(session, collection.id, document, details)
        passages = [
            Passage(ordinal=n, start=10 * n, end=10 * n + 10, text="red apple ", num_tokens=2) for n in range(1_200)
        ]
        vectors = np.ones((1_200, 2), dtype=np.float16)
        replace_passages(session, document_id, collection.id, 1, passages, vectors, "model")
        # Each statement of a transaction leaves another version of the row with the counts.
        versions = session.scalar(
            text(
                "SELECT n_tup_upd + n_tup_ins FROM pg_stat_xact_all_tables "
                "WHERE relname = 'collections' AND schemaname = 'rag_search'"
            )
        )
    assert versions is not None
    assert versions <= 3
    with plain.read() as session:
        counts = count_words(session, collection.id)
    assert counts.kept == counts.counted == (1_200, 2_400, 2_400)


def test_sqlite_is_refused(sqlite_database: Database) -> None:
    for step in (set_up_search, require_search):
        with pytest.raises(InvalidInput, match="needs a PostgreSQL database"):
            step(sqlite_database)
