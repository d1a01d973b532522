"""Passages, their embeddings and the changes that they make to the index."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from rag.records import Caller, DocumentReference
from rag.store import tables
from rag.store.documents import new_version
from rag.store.found_passages import document_ids_matching, load_hits
from rag.store.id_batches import IDS_PER_STATEMENT
from rag.store.index_changes import changes_after
from rag.store.passages import (
    embedded_passage_ids,
    embeddings_of,
    iter_embeddings,
    passage_ids_of_document,
    remove_passages,
    replace_passages,
)


def operations(library: Any) -> list[tuple[str, int]]:
    with library.database.read() as session:
        changes = changes_after(session, library.collection_id, 0, 100)
    return [(change.operation, change.passage_id) for change in changes]


def test_replacing_logs_every_passage_that_left_and_entered(library: Any) -> None:
    document_id = library.add("a")
    old = library.add_passages(document_id, ["one", "two"])
    with library.database.write() as session:
        new_version(session, document_id, library.document("a", "three"), library.details("three"))
    new = library.add_passages(document_id, ["three"], version=2)
    assert set(old).isdisjoint(new)
    assert operations(library) == [
        *(("add", passage_id) for passage_id in old),
        *(("remove", passage_id) for passage_id in old),
        *(("add", passage_id) for passage_id in new),
    ]
    with library.database.read() as session:
        assert passage_ids_of_document(session, document_id) == new


def test_removed_ids_are_never_used_again(library: Any) -> None:
    document_id = library.add("a")
    old = library.add_passages(document_id, ["one"])
    with library.database.write() as session:
        assert remove_passages(session, document_id, library.collection_id) == old
        assert remove_passages(session, document_id, library.collection_id) == []
    assert library.add_passages(document_id, ["one"]) > old


def test_removing_takes_the_embeddings_along(library: Any) -> None:
    document_id = library.add("a")
    library.add_passages(document_id, ["one", "two"])
    with library.database.write() as session:
        remove_passages(session, document_id, library.collection_id)
        assert session.scalar(select(func.count()).select_from(tables.PassageEmbedding)) == 0


def test_ids_come_in_the_order_of_the_passages(library: Any) -> None:
    document_id = library.add("a")
    passages = library.passages(["one", "two", "three"])[::-1]
    vectors = np.array([[3], [2], [1]], dtype=np.float16)
    with library.database.write() as session:
        ids = replace_passages(session, document_id, library.collection_id, 1, passages, vectors, "model")
        hits = load_hits(session, ids)
        batch = embeddings_of(session, ids, "model")
    assert [hits[passage_id].text for passage_id in ids] == ["three", "two", "one"]
    assert dict(zip(batch.passage_ids.tolist(), batch.vectors[:, 0].tolist(), strict=True)) == dict(
        zip(ids, [3, 2, 1], strict=True)
    )


def test_vectors_come_back_bit_for_bit(library: Any) -> None:
    document_id = library.add("a")
    vectors = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float16)
    with library.database.write() as session:
        passages = library.passages(["one", "two", "three"])
        ids = replace_passages(session, document_id, library.collection_id, 1, passages, vectors, "model")
    with library.database.read() as session:
        batch = embeddings_of(session, ids, "model")
        stored = session.scalars(select(tables.PassageEmbedding.vector).order_by(tables.PassageEmbedding.passage_id))
        assert list(stored) == [vector.astype("<f2").tobytes() for vector in vectors]
    assert batch.vectors.dtype == np.float16
    assert batch.vectors.tobytes() == vectors.tobytes()


def test_as_many_vectors_as_passages_are_needed(library: Any) -> None:
    document_id = library.add("a")
    passages, vectors = library.passages(["one", "two"]), np.zeros((1, 3), dtype=np.float16)
    with library.database.write() as session, pytest.raises(ValueError, match="2 passages need as many vectors, not 1"):
        replace_passages(session, document_id, library.collection_id, 1, passages, vectors, "model")


def test_passages_without_vectors_are_left_out_of_the_embeddings(library: Any) -> None:
    document_id = library.add("a")
    with library.database.write() as session:
        passages = library.passages(["one"])
        [passage_id] = replace_passages(session, document_id, library.collection_id, 1, passages, None, "model")
        assert embeddings_of(session, [passage_id], "model").words == []
        assert list(load_hits(session, [passage_id])) == [passage_id]


def test_all_embeddings_come_in_batches_by_id(library: Any) -> None:
    first, second = library.add("a", title="First"), library.add("b", title="Second")
    ids = [*library.add_passages(first, ["one", "two"]), *library.add_passages(second, ["three", "four", "five"])]
    with library.database.read() as session:
        batches = list(iter_embeddings(session, library.collection_id, "model", batch_size=2))
        later = list(iter_embeddings(session, library.collection_id, "model", batch_size=9, after_id=ids[2]))
        assert list(iter_embeddings(session, library.collection_id, "other model", batch_size=2)) == []
        assert list(iter_embeddings(session, 99, "model", batch_size=2)) == []
    assert [batch.passage_ids.tolist() for batch in batches] == [ids[:2], ids[2:4], ids[4:]]
    assert [batch.vectors.tolist() for batch in batches] == [[[1, 1], [2, 2]], [[1, 1], [2, 2]], [[3, 3]]]
    words = [words for batch in batches for words in batch.words]
    assert [(word.passage_id, word.text) for word in words] == list(
        zip(ids, ["one", "two", "three", "four", "five"], strict=True)
    )
    assert (words[0].title, words[0].document_id, words[0].headings) == ("First", first, ("Part",))
    assert [batch.passage_ids.tolist() for batch in later] == [ids[3:]]
    with library.database.read() as session:
        some = embedded_passage_ids(session, library.collection_id, "model", after_id=ids[0], limit=3)
        assert len(embedded_passage_ids(session, library.collection_id, "other model", after_id=0, limit=3)) == 0
    assert some.tolist() == ids[1:4]


def test_embeddings_of_many_ids_leave_out_those_that_are_gone(library: Any) -> None:
    ids = library.add_passages(library.add("a"), ["one", "two"])
    many = [ids[1], *range(10_000, 10_000 + 2 * IDS_PER_STATEMENT), ids[0]]
    with library.database.read() as session:
        batch = embeddings_of(session, many, "model")
        nothing = embeddings_of(session, [], "model")
        assert sorted(load_hits(session, many)) == ids
    assert batch.passage_ids.tolist() == ids
    assert batch.vectors.tolist() == [[1, 1], [2, 2]]
    assert nothing.passage_ids.dtype == np.int64
    assert (len(nothing.passage_ids), len(nothing.vectors), nothing.words) == (0, 0, [])


def test_hit_holds_everything_but_the_scores(library: Any) -> None:
    original = library.add("a", title="Original")
    document_id = library.add("b", title="Near", near_duplicate_of=original)
    copy = library.add("c", title="Copy", duplicate_of=document_id)
    _, passage_id = library.add_passages(document_id, ["one ", "two"])
    with library.database.read() as session:
        row = load_hits(session, [passage_id])[passage_id]
    assert (row.document_id, row.document_version, row.title, row.source) == (document_id, 1, "Near", "b")
    assert (row.start, row.end, row.text, row.page, row.row, row.headings) == (4, 7, "two", 1, None, ("Part",))
    assert row.near_duplicate_of == original
    assert row.also_in == (DocumentReference(document_id=copy, title="Copy", source="c", origin="real"),)


def test_ids_of_matching_documents(library: Any) -> None:
    first, second = library.add("a", tags={"team": "sales"}), library.add("b", tags={"team": "legal"})
    with library.database.read() as session:
        found = document_ids_matching(session, library.collection_id, {"team": "legal"})
        assert found.dtype == np.int64
        assert found.tolist() == [second]
        assert document_ids_matching(session, library.collection_id, {}).tolist() == [first, second]
        assert document_ids_matching(session, 99, {}).tolist() == []


def test_original_is_found_by_what_its_duplicate_fulfils(library: Any) -> None:
    original = library.add("a", tags={"team": "sales"})
    library.add("b", tags={"team": "legal"}, duplicate_of=original)
    with library.database.read() as session:
        assert document_ids_matching(session, library.collection_id, {"team": "legal"}).tolist() == [original]


def test_hits_name_no_document_that_the_caller_may_not_know_of(library: Any) -> None:
    hidden = library.add("hidden", access_labels=["hr"])
    library.add("hidden copy", duplicate_of=library.add("open"), access_labels=["hr"])
    shown = library.add("shown", near_duplicate_of=hidden)
    ids = [*library.add_passages(hidden, ["secret"]), *library.add_passages(shown, ["words"])]
    with library.database.read() as session:
        nobody = load_hits(session, ids, caller=Caller(access_labels=frozenset()))
        person = load_hits(session, ids, caller=Caller(access_labels=frozenset({"hr"})))
    assert list(nobody) == [ids[1]]
    assert nobody[ids[1]].near_duplicate_of is None
    assert set(person) == set(ids)
    assert person[ids[1]].near_duplicate_of == hidden


@pytest.mark.parametrize(
    "wrong", [{"start": -1}, {"start": 3, "end": 3}, {"page": 0}, {"row": 0}, {"ordinal": -1}, {"num_tokens": -1}]
)
def test_impossible_passages_are_refused_by_the_database(library: Any, wrong: dict[str, int]) -> None:
    document_id = library.add("a")
    [passage] = library.passages(["one"])
    with pytest.raises(IntegrityError, match="ck_passages"), library.database.write() as session:
        replace_passages(session, document_id, library.collection_id, 1, [replace(passage, **wrong)], None, "model")
