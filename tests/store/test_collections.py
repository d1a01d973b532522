"""Collections by name."""

import threading
from typing import Any

import pytest

from rag.errors import InvalidInput, NotFound
from rag.store.collections import (
    get_collection,
    get_collection_by_id,
    get_or_create_collection,
    list_collections,
)
from rag.store.database import Database
from rag.store.documents import mark_deleted


def test_unknown_name_is_answered_with_the_known_ones(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound, match="'tickets'; none exists yet"):
        get_collection(session, "tickets")
    with database.write() as session:
        get_or_create_collection(session, "handbooks", embedding_model="model")
        get_or_create_collection(session, "Manuals", embedding_model="model")
    with database.read() as session:
        with pytest.raises(NotFound, match="'tickets'; there are: Manuals, handbooks"):
            get_collection(session, "tickets")
        with pytest.raises(NotFound):
            get_collection_by_id(session, 99)


def test_existing_collection_keeps_its_embedding_model(database: Database) -> None:
    with database.write() as session:
        made = get_or_create_collection(session, "handbooks", embedding_model="first")
    with database.write() as session:
        assert get_or_create_collection(session, "handbooks", embedding_model="second") == made
    with database.read() as session:
        assert get_collection(session, "handbooks").embedding_model == "first"
        assert get_collection_by_id(session, made.id) == made


def test_two_processes_may_make_the_same_collection(database: Database) -> None:
    ids = []

    def make() -> None:
        with database.write() as session:
            ids.append(get_or_create_collection(session, "handbooks", embedding_model="model").id)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(ids) == 4
    assert len(set(ids)) == 1


@pytest.mark.parametrize("name", ["", " ", " handbooks", "handbooks\n"])
def test_blank_names_are_refused(database: Database, name: str) -> None:
    with database.write() as session, pytest.raises(InvalidInput, match="needs a name"):
        get_or_create_collection(session, name, embedding_model="model")


def test_sizes_leave_deleted_documents_out(library: Any) -> None:
    first, second = library.add("a"), library.add("b")
    library.add_passages(first, ["one", "two"])
    library.add_passages(second, ["three"])
    with library.database.write() as session:
        get_or_create_collection(session, "empty", embedding_model="model")
        mark_deleted(session, second)
    with library.database.read() as session:
        sizes = {size.collection.name: (size.num_documents, size.num_passages) for size in list_collections(session)}
    assert sizes == {"empty": (0, 0), "handbooks": (1, 2)}


def test_sizes_tell_real_and_synthetic_documents_apart(library: Any) -> None:
    library.add("a")
    library.add("b", origin="synthetic")
    gone = library.add("c", origin="synthetic")
    library.add("d", origin="synthetic", duplicate_of=1)
    with library.database.write() as session:
        mark_deleted(session, gone)
        (size,) = list_collections(session)
    assert (size.num_documents, size.num_real, size.num_synthetic) == (3, 1, 2)
