"""Words that stand in many documents: counted, marked, listed; and vectors found by what they were made of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from rag.records import Caller
from rag.store import tables
from rag.store.collections import get_or_create_collection
from rag.store.documents import mark_deleted
from rag.store.embedding_generations import begin_generation, drop_generation
from rag.store.id_batches import IDS_PER_STATEMENT
from rag.store.index_changes import changes_after
from rag.store.passage_vectors import put_shared_vectors, stored_vectors, vectors_of_document
from rag.store.passages import PassageHashes, replace_passages
from rag.store.repeated_passages import (
    MIN_DOCUMENTS,
    MIN_TOKENS,
    count_documents,
    list_repeated,
    mark_repeated,
    may_repeat,
    repeated_passage_ids,
    unmarked_passages,
)

LONG = " ".join(f"word{number}" for number in range(MIN_TOKENS))
NOBODY = Caller(access_labels=frozenset())


def _put(
    library: Any,
    document_id: int,
    texts: Sequence[str],
    *,
    row: int | None = None,
    model: str = "model",
    is_repeated: bool = False,
    value: float = 1,
) -> list[int]:
    """Give a document these passages, recognised by their words themselves; all their vectors are (value, value)."""
    passages = [replace(passage, row=row) for passage in library.passages(texts)]
    hashes = [PassageHashes(text_sha256=text, embedded_sha256=f"={text}", is_repeated=is_repeated) for text in texts]
    vectors = np.full((len(texts), 2), value, dtype=np.float16)
    with library.database.write() as session:
        ids: list[int] = replace_passages(
            session, document_id, library.collection_id, 1, passages, vectors, model, hashes=hashes
        )
    return ids


def _count(library: Any, *hashes: str, exclude_ids: Sequence[int] = ()) -> dict[str, int]:
    with library.database.read() as session:
        return count_documents(session, library.collection_id, hashes, exclude_ids=exclude_ids)


def test_documents_are_counted_once_each_and_no_further_than_needed(library: Any) -> None:
    first = library.add("first")
    _put(library, first, [LONG, LONG])
    assert _count(library, LONG, "nowhere") == {LONG: 1, "nowhere": 0}
    assert _count(library, LONG, exclude_ids=[first]) == {LONG: 0}
    for number in range(MIN_DOCUMENTS + 3):
        _put(library, library.add(f"{number}"), [LONG])
    assert _count(library, LONG) == {LONG: MIN_DOCUMENTS}
    assert _count(library) == {}


def test_rows_short_passages_and_other_collections_do_not_count(library: Any) -> None:
    _put(library, library.add("table"), [LONG], row=1)
    _put(library, library.add("short"), ["Total 5"])
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model").id
    _put(replace(library, collection_id=other), replace(library, collection_id=other).add("elsewhere"), [LONG])
    assert _count(library, LONG, "Total 5") == {LONG: 0, "Total 5": 0}
    assert [may_repeat(passage) for passage in library.passages([LONG, "Total 5"])] == [True, False]
    assert not may_repeat(replace(library.passages([LONG])[0], row=3))


def test_one_mark_is_enough_to_know_that_words_are_repeated(library: Any) -> None:
    document_id = library.add("left over")
    ids = _put(library, document_id, [LONG], is_repeated=True)
    assert _count(library, LONG) == {LONG: MIN_DOCUMENTS}
    assert _count(library, LONG, exclude_ids=[document_id]) == {LONG: 0}
    with library.database.read() as session:
        assert unmarked_passages(session, library.collection_id, {LONG}) == []
        assert repeated_passage_ids(session, library.collection_id, {LONG, "x"}) == set(ids)


def test_marking_puts_the_shared_vector_drops_those_of_other_models_and_tells_the_indexes(library: Any) -> None:
    ids = _put(library, library.add("a", title="A"), [LONG, "short"])
    ids += _put(library, library.add("b", title="B"), [LONG])
    with library.database.write() as session:
        session.add(tables.PassageEmbedding(passage_id=ids[0], embedding_model="other", vector=b"1234"))
    with library.database.write() as session:
        before = changes_after(session, library.collection_id, 0, 100)[-1].id
        others = unmarked_passages(session, library.collection_id, {LONG})
        assert [(other.passage_id, other.title, other.is_repeated) for other in others] == [
            (ids[0], "A", True),
            (ids[2], "B", True),
        ]
        marked = [other.passage_id for other in others]
        new = np.full((2, 2), 7, dtype=np.float16)
        mark_repeated(session, library.collection_id, "model", marked, new, ["shared", "shared"])
    with library.database.read() as session:
        rows = session.execute(
            select(tables.PassageEmbedding.passage_id, tables.PassageEmbedding.embedded_sha256).order_by(
                tables.PassageEmbedding.passage_id
            )
        ).all()
        found = stored_vectors(session, library.collection_id, "model", ["shared", f"={LONG}"])
        changes = changes_after(session, library.collection_id, before, 100)
    assert [tuple(row) for row in rows] == [(ids[0], "shared"), (ids[1], "=short"), (ids[2], "shared")]
    assert {sha256: vector.tolist() for sha256, vector in found.items()} == {"shared": [7, 7]}
    assert [(change.operation, change.passage_id) for change in changes] == [
        *(("remove", passage_id) for passage_id in marked),
        *(("add", passage_id) for passage_id in marked),
    ]


def test_list_names_and_counts_only_what_the_caller_may_know_of(library: Any) -> None:
    other = f"{LONG} more"
    for number, labels in enumerate([["hr"], [], []]):
        _put(library, library.add(f"d{number}", access_labels=labels), [LONG], is_repeated=True)
    for number in range(2):
        _put(library, library.add(f"s{number}", access_labels=["hr"]), [other, other], is_repeated=True)
    with library.database.read() as session:
        everything = list_repeated(session, library.collection_id)
        seen = list_repeated(session, library.collection_id, caller=NOBODY)
        first = list_repeated(session, library.collection_id, limit=1)
    assert [(p.text, p.num_documents, p.num_passages, p.source) for p in everything] == [
        (LONG, 3, 3, "d0"),
        (other, 2, 4, "s0"),
    ]
    assert [(p.text, p.num_documents, p.num_passages, p.source) for p in seen] == [(LONG, 2, 2, "d1")]
    assert first == everything[:1]


def test_vectors_are_found_by_what_they_were_made_of_under_the_same_model_in_the_same_collection(library: Any) -> None:
    document_id = library.add("a")
    _put(library, document_id, ["one", "two"], value=1)
    _put(library, library.add("b"), ["two"], value=2)
    _put(library, library.add("c"), ["three"], model="other", value=3)
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model").id
    elsewhere = replace(library, collection_id=other)
    _put(elsewhere, elsewhere.add("d"), ["four"], value=4)
    hashes = ["=one", "=two", "=three", "=four", *(f"none{n}" for n in range(2 * IDS_PER_STATEMENT))]
    with library.database.write() as session:
        found = stored_vectors(session, library.collection_id, "model", hashes)
        of_document = vectors_of_document(session, document_id, "model")
        mark_deleted(session, document_id)
        later = stored_vectors(session, library.collection_id, "model", hashes)
    assert {sha256: vector.tolist() for sha256, vector in found.items()} == {"=one": [1, 1], "=two": [1, 1]}
    assert found.keys() == of_document.keys()
    assert {sha256: vector.tolist() for sha256, vector in later.items()} == {"=two": [2, 2]}


def test_words_of_repeated_passages_outlive_their_passages_and_go_with_their_generation(library: Any) -> None:
    vector = np.array([1, 2], dtype=np.float16)
    with library.database.write() as session:
        begin_generation(session, library.collection_id, "other")
        for _ in range(2):
            put_shared_vectors(session, library.collection_id, "other", {"words": vector})
        put_shared_vectors(session, library.collection_id, "model", {"words": 2 * vector})
    with library.database.write() as session:
        assert stored_vectors(session, library.collection_id, "other", ["words"])["words"].tolist() == [1, 2]
        drop_generation(session, library.collection_id, "other")
        assert stored_vectors(session, library.collection_id, "other", ["words"]) == {}
        assert stored_vectors(session, library.collection_id, "model", ["words"])["words"].tolist() == [2, 4]


def test_vectors_of_unknown_texts_are_never_taken_over(library: Any) -> None:
    document_id = library.add("a")
    library.add_passages(document_id, ["one"])
    with library.database.read() as session:
        assert vectors_of_document(session, document_id, "model") == {}


@pytest.mark.parametrize("exclude", [True, False])
def test_passages_of_deleted_documents_count_for_nothing(library: Any, exclude: bool) -> None:
    document_id = library.add("a")
    _put(library, document_id, [LONG], is_repeated=True)
    with library.database.write() as session:
        mark_deleted(session, document_id)
    assert _count(library, LONG, exclude_ids=[document_id] if exclude else []) == {LONG: 0}
