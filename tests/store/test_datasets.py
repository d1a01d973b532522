"""Datasets: what a collection held at one moment, never to change."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rag.errors import InvalidInput, NotFound
from rag.store.collections import get_or_create_collection
from rag.store.database import Session
from rag.store.dataset_differences import DatasetDifference, DifferenceCounts, count_differences, list_differences
from rag.store.datasets import (
    Dataset,
    create_dataset,
    dataset_held,
    erase_from_datasets,
    find_dataset,
    get_dataset,
    list_dataset_documents,
    list_datasets,
    lock_of_datasets,
)
from rag.store.documents import insert_document, mark_deleted, new_version, update_metadata
from rag.store.index_changes import last_change_id


@pytest.fixture
def create(library: Any) -> Callable[..., Dataset]:
    """Create a dataset of the library's collection."""

    def create(name: str, note: str | None = None) -> Dataset:
        return create_dataset(library.database, library.collection_id, name=name, note=note)

    return create


@pytest.fixture
def held(library: Any) -> Callable[[], int | None]:
    """The dataset that the collection holds now, for somebody who has seen all index changes."""

    def held() -> int | None:
        with library.database.read() as session:
            change_id = last_change_id(session, library.collection_id)
            return dataset_held(session, library.collection_id, index_change_id=change_id)

    return held


def _change(library: Any, document_id: int, words: str, **details: Any) -> None:
    with library.database.write() as session:
        new_version(session, document_id, library.document("x", words), library.details(words, **details))


def _delete(library: Any, document_id: int) -> None:
    with library.database.write() as session:
        mark_deleted(session, document_id)


def test_dataset_names_documents_versions_and_hashes(library: Any, create: Callable[..., Dataset]) -> None:
    last = library.add("z", text_sha256="hash z")
    first = library.add("a", text_sha256="hash a", origin="synthetic")
    copy = library.add("Ä", text_sha256="hash a", duplicate_of=first)
    gone = library.add("gone")
    _delete(library, gone)
    _change(library, first, "hash new", origin="synthetic")
    library.add_passages(last, ["words"])
    dataset = create("June", "as sent out")
    with library.database.read() as session:
        assert get_dataset(session, dataset.id) == dataset
        assert find_dataset(session, library.collection_id, "June") == dataset
        assert dataset.index_change_id == last_change_id(session, library.collection_id)
        documents = {d.source: d for d in list_dataset_documents(session, dataset.id)}
    assert (dataset.collection, dataset.name, dataset.note) == ("handbooks", "June", "as sent out")
    assert (dataset.num_documents, dataset.num_real, dataset.num_synthetic, dataset.num_erased) == (3, 2, 1, 0)
    assert {(d.source, d.document_id, d.document_version, d.text_sha256, d.origin) for d in documents.values()} == {
        ("a", first, 2, "hash new", "synthetic"),
        ("z", last, 1, "hash z", "real"),
        ("Ä", copy, 1, "hash a", "real"),
    }
    pairs = "a\0hash new\0z\0hash z\0Ä\0hash a\0"
    assert dataset.sha256 == hashlib.sha256(pairs.encode()).hexdigest()


def test_same_content_has_the_same_hash_whatever_the_order_of_storing(library: Any) -> None:
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model").id
        for source in ("b", "a"):
            insert_document(session, other, library.document(source, "x"), library.details(source))
    library.add("a")
    library.add("b")
    one, two = (create_dataset(library.database, number, name="v") for number in (library.collection_id, other))
    assert one.sha256 == two.sha256


def test_documents_are_paged_by_source(library: Any, create: Callable[..., Dataset]) -> None:
    for source in ("c", "a", "b"):
        library.add(source)
    dataset = create("v")
    with library.database.read() as session:
        assert [d.source for d in list_dataset_documents(session, dataset.id, limit=2)] == ["a", "b"]
        assert [d.source for d in list_dataset_documents(session, dataset.id, after_source="b")] == ["c"]
        with pytest.raises(InvalidInput, match="limit must be at least 1"):
            list_dataset_documents(session, dataset.id, limit=0)


@pytest.fixture
def after_each_write(library: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Have something done after each transaction, told how many there were; it may write itself."""
    write, counted, num_written = library.database.write, True, 0

    def watch(act: Callable[[int], None]) -> None:
        @contextmanager
        def write_and_act() -> Iterator[Session]:
            nonlocal counted, num_written
            with write() as session:
                yield session
            if counted:
                num_written, counted = num_written + 1, False
                try:
                    act(num_written)
                finally:
                    counted = True

        monkeypatch.setattr(library.database, "write", write_and_act)
        monkeypatch.setattr("rag.store.datasets.ROWS_PER_BATCH", 2)

    return watch


def test_dataset_written_in_batches_is_what_was_there_when_it_began(
    library: Any,
    create: Callable[..., Dataset],
    held: Callable[[], int | None],
    after_each_write: Callable[[Callable[[int], None]], None],
) -> None:
    ids = [library.add(source) for source in "abcde"]
    whole = create("whole")
    seen = []

    def change(num_written: int) -> None:
        with library.database.read() as session:
            seen.append([dataset.name for dataset in list_datasets(session)])
        if num_written == 1:
            library.add("f")
            _change(library, ids[3], "new words")
            _delete(library, ids[4])

    after_each_write(change)
    dataset = create("in batches")
    assert seen == [["whole"]] * 4 + [["whole", "in batches"]]  # the draft, three batches, the end
    assert (dataset.num_documents, dataset.num_real, dataset.sha256) == (5, 5, whole.sha256)
    with library.database.read() as session:
        assert list_dataset_documents(session, dataset.id) == list_dataset_documents(session, whole.id)
    assert held() is None, "the collection has changed meanwhile"


def test_dataset_that_was_broken_off_is_seen_by_nobody_and_makes_room(
    library: Any,
    create: Callable[..., Dataset],
    held: Callable[[], int | None],
    after_each_write: Callable[[Callable[[int], None]], None],
) -> None:
    ids = [library.add(source) for source in "abcde"]
    before = create("before")

    def break_off(num_written: int) -> None:
        if num_written == 3:
            raise KeyboardInterrupt

    after_each_write(break_off)
    with pytest.raises(KeyboardInterrupt):
        create("v1")
    with library.database.read() as session:
        assert list_datasets(session) == [before]
        with pytest.raises(NotFound, match="there are: before"):
            find_dataset(session, library.collection_id, "v1")
        assert session.scalar(text("SELECT count(*) FROM dataset_documents")) == 5 + 4
    assert held() == before.id
    with library.database.write() as session:
        assert erase_from_datasets(session, ids[0], reason="request 12") == [before.id]
    made = create("v1")
    assert held() == made.id
    with library.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM dataset_documents")) == 4 + 5
        assert session.scalar(text("SELECT count(*) FROM dataset_drafts")) == 0


def test_dataset_waits_for_an_erasure(library: Any, create: Callable[..., Dataset]) -> None:
    library.add("a")
    made: list[Dataset] = []
    thread = threading.Thread(target=lambda: made.append(create("v1")))
    with library.database.exclusive(lock_of_datasets(library.collection_id)):
        thread.start()
        thread.join(0.3)
        assert made == []
    thread.join(10)
    assert [dataset.name for dataset in made] == ["v1"]


def test_later_changes_leave_a_dataset_as_it_is(library: Any, create: Callable[..., Dataset]) -> None:
    document = library.add("a")
    before = create("v1")
    _change(library, document, "new words")
    _delete(library, document)
    library.add("b")
    with library.database.read() as session:
        assert get_dataset(session, before.id) == before
        assert [(d.source, d.document_version) for d in list_dataset_documents(session, before.id)] == [("a", 1)]


@pytest.mark.parametrize("name", ["", " ", " v1", "v1\n"])
def test_blank_names_are_refused(create: Callable[..., Dataset], name: str) -> None:
    with pytest.raises(InvalidInput, match="needs a name"):
        create(name)


def test_name_is_used_once_in_a_collection(library: Any, create: Callable[..., Dataset]) -> None:
    create("v1")
    with pytest.raises(InvalidInput, match="has a dataset 'v1' already"):
        create("v1")
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model").id
    assert create_dataset(library.database, other, name="v1").num_documents == 0
    with library.database.read() as session:
        assert [d.collection for d in list_datasets(session)] == ["handbooks", "other"]
        assert [d.collection for d in list_datasets(session, collection_id=other)] == ["other"]


def test_unknown_datasets_are_not_found(library: Any, create: Callable[..., Dataset]) -> None:
    with library.database.write() as session:
        with pytest.raises(NotFound, match="There is no dataset 7"):
            get_dataset(session, 7)
        with pytest.raises(NotFound, match="no dataset 'v1'; it has none"):
            find_dataset(session, library.collection_id, "v1")
    with pytest.raises(NotFound):
        create_dataset(library.database, 99, name="v1")
    create("June")
    with library.database.read() as session, pytest.raises(NotFound, match="no dataset 'v1'; there are: June"):
        find_dataset(session, library.collection_id, "v1")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE datasets SET note = 'other'",
        "DELETE FROM datasets",
        "UPDATE dataset_documents SET text_sha256 = 'other'",
        "DELETE FROM dataset_documents",
        "DELETE FROM dataset_documents WHERE source = 'b'",
        "UPDATE dataset_erasures SET reason = 'other'",
        "DELETE FROM dataset_erasures",
        "INSERT INTO dataset_drafts SELECT id FROM datasets",
    ],
)
def test_database_itself_refuses_to_change_a_dataset(
    library: Any, create: Callable[..., Dataset], statement: str
) -> None:
    erased = library.add("a")
    library.add("b")
    dataset = create("v1")
    with library.database.write() as session:
        erase_from_datasets(session, erased, reason="asked for")
    with library.database.write() as session, pytest.raises(IntegrityError, match="a dataset"):
        session.execute(text(statement))
    with library.database.read() as session:
        assert [d.source for d in list_dataset_documents(session, dataset.id)] == ["b"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has no TRUNCATE
def test_postgresql_refuses_to_truncate_a_dataset(library: Any, create: Callable[..., Dataset]) -> None:
    library.add("a")
    create("v1")
    for tables in ("dataset_documents", "dataset_erasures", "datasets CASCADE"):
        with library.database.write() as session, pytest.raises(IntegrityError, match="never changed or deleted"):
            session.execute(text(f"TRUNCATE {tables}"))


def test_erased_document_leaves_every_dataset_and_an_entry_that_names_nobody(
    library: Any, create: Callable[..., Dataset]
) -> None:
    person, other = library.add("file:///jane-doe.txt"), library.add("b")
    datasets = [create("v1"), create("v2")]
    with library.database.write() as session:
        assert erase_from_datasets(session, person, reason="request 12") == [dataset.id for dataset in datasets]
        assert erase_from_datasets(session, person, reason="request 12") == []
    with library.database.read() as session:
        for dataset in datasets:
            now = get_dataset(session, dataset.id)
            assert (now.num_documents, now.num_erased, now.sha256) == (2, 1, dataset.sha256)
            assert [d.document_id for d in list_dataset_documents(session, dataset.id)] == [other]
        entries = session.execute(text("SELECT dataset_id, document_id, reason FROM dataset_erasures ORDER BY 1")).all()
    assert entries == [(dataset.id, person, "request 12") for dataset in datasets]


def test_differences_are_told_by_source_with_hashes(library: Any, create: Callable[..., Dataset]) -> None:
    library.add("same")
    changed, gone, relabelled = library.add("changed"), library.add("gone"), library.add("relabelled")
    before = create("v1")
    _change(library, changed, "new")
    _delete(library, gone)
    library.add("added", origin="synthetic")
    with library.database.write() as session:
        update_metadata(session, relabelled, origin="synthetic")
    after = create("v2")
    with library.database.read() as session:
        found = list_differences(session, before.id, after.id)
        assert count_differences(session, before.id, after.id) == DifferenceCounts(
            num_added=1, num_removed=1, num_changed=2
        )
        assert count_differences(session, after.id, after.id) == DifferenceCounts(
            num_added=0, num_removed=0, num_changed=0
        )
        assert [d.kind for d in list_differences(session, after.id, before.id)] == [
            "removed",
            "changed",
            "added",
            "changed",
        ]
        assert list_differences(session, before.id, after.id, limit=2) == found[:2]
        assert list_differences(session, before.id, after.id, after_source="changed") == found[2:]
        with pytest.raises(InvalidInput, match="limit must be at least 1"):
            list_differences(session, before.id, after.id, limit=0)

    def difference(source: str, kind: Any, *values: Any) -> DatasetDifference:
        names = ("text_sha256_before", "text_sha256_after", "origin_before", "origin_after")
        return DatasetDifference(source=source, kind=kind, **dict(zip(names, values, strict=True)))

    assert found == [
        difference("added", "added", None, "added", None, "synthetic"),
        difference("changed", "changed", "changed", "new", "real", "real"),
        difference("gone", "removed", "gone", None, "real", None),
        difference("relabelled", "changed", "relabelled", "relabelled", "real", "synthetic"),
    ]


def test_dataset_is_held_until_something_changes(
    library: Any, create: Callable[..., Dataset], held: Callable[[], int | None]
) -> None:
    document = library.add("a")
    library.add_passages(document, ["words"])
    assert held() is None
    first = create("v1")
    assert held() == first.id
    second = create("v2")
    assert held() == second.id
    library.add_passages(document, ["words"])
    assert held() is None


def test_reader_that_has_not_seen_all_changes_holds_no_dataset(library: Any, create: Callable[..., Dataset]) -> None:
    library.add_passages(library.add("a"), ["words", "more"])
    dataset = create("v1")
    with library.database.read() as session:
        for change_id, expected in ((0, None), (dataset.index_change_id - 1, None), (dataset.index_change_id, 1)):
            assert dataset_held(session, library.collection_id, index_change_id=change_id) == expected


@pytest.mark.parametrize("change", ["duplicate added", "duplicate removed", "new version", "other origin"])
def test_change_that_the_index_does_not_see_ends_a_dataset_too(
    library: Any, create: Callable[..., Dataset], held: Callable[[], int | None], change: str
) -> None:
    original = library.add("a", text_sha256="same")
    copy = library.add("b", text_sha256="same", duplicate_of=original)
    assert create("v1").id == held()
    if change == "duplicate added":
        library.add("c", text_sha256="same", duplicate_of=original)
    elif change == "duplicate removed":
        _delete(library, copy)
    elif change == "new version":
        _change(library, copy, "same", duplicate_of=original)
    else:
        with library.database.write() as session:
            update_metadata(session, copy, origin="synthetic")
    assert held() is None


def test_document_that_is_touched_but_not_changed_does_not_end_a_dataset(
    library: Any, create: Callable[..., Dataset], held: Callable[[], int | None]
) -> None:
    document, gone = library.add("a"), library.add("gone")
    _delete(library, gone)
    dataset = create("v1")
    with library.database.write() as session:
        update_metadata(session, document, file_sha256="", tags={"team": "ops"})
    _delete(library, gone)
    brief = library.add("brief", text_sha256="a", duplicate_of=document)
    _delete(library, brief)
    assert held() == dataset.id


def test_other_collections_have_datasets_of_their_own(
    library: Any, create: Callable[..., Dataset], held: Callable[[], int | None]
) -> None:
    dataset = create("v1")
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model").id
        assert dataset_held(session, other, index_change_id=0) is None
        insert_document(session, other, library.document("x", "x"), library.details("x"))
    create_dataset(library.database, other, name="v1")
    assert held() == dataset.id
