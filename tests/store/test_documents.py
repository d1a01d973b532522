"""Documents: one row for what stands now, one for every version that ever stood."""

from typing import Any

import pytest

from rag.errors import InvalidInput, NotFound
from rag.store.documents import (
    documents_of_file,
    duplicates_of,
    find_by_source,
    find_identical,
    get_document,
    insert_document,
    list_documents,
    mark_deleted,
    new_version,
    set_duplicate_of,
    update_metadata,
)
from rag.store.found_passages import document_ids_matching, load_hits
from rag.store.index_changes import changes_after, last_change_id


def test_document_comes_back_as_it_went_in(library: Any) -> None:
    metadata = {"pages": 3, "price": 0.5, "draft": True, "author": "Zoë", "none": None}
    document = library.document("file:///a.txt", "The text, with \N{GRINNING FACE}.", metadata=metadata)
    details = library.details("sha", tags={"team": "sales"}, origin="synthetic", signature=b"\x00\xff")
    with library.database.write() as session:
        document_id = insert_document(session, library.collection_id, document, details)
    with library.database.read() as session:
        found = get_document(session, document_id)
        assert find_by_source(session, library.collection_id, "file:///a.txt") == found.document
    assert (found.text, found.sections, found.version) == (document.text, document.sections, 1)
    stored = found.document
    assert (stored.metadata, stored.tags, stored.origin) == (metadata, {"team": "sales"}, "synthetic")
    assert (stored.text_sha256, stored.file_sha256, stored.pipeline) == ("sha", "file", "1")
    assert stored.deleted_at is None


def test_old_versions_stay_readable(library: Any) -> None:
    document_id = library.add("a", "old words")
    with library.database.write() as session:
        changed = library.document("a", "new words", title="New title", file="other", metadata={"k": "v"})
        version = new_version(session, document_id, changed, library.details("new", tags={"t": "u"}))
        assert version == 2
    with library.database.read() as session:
        new, old = get_document(session, document_id), get_document(session, document_id, version=1)
        assert (new.version, new.text, new.title, new.text_sha256) == (2, "new words", "New title", "new")
        assert (new.document.metadata, new.document.tags, new.document.file) == ({"k": "v"}, {"t": "u"}, "other")
        assert (old.version, old.text, old.title, old.document.version) == (1, "old words", "Title", 2)
        with pytest.raises(NotFound, match="no version 3 of document .*; the current one is 2"):
            get_document(session, document_id, version=3)


def test_unknown_documents_are_not_found(library: Any) -> None:
    with library.database.write() as session:
        assert find_by_source(session, library.collection_id, "nowhere") is None
        with pytest.raises(NotFound, match="There is no document 99"):
            get_document(session, 99)
        with pytest.raises(NotFound):
            new_version(session, 99, library.document("a", "text"), library.details("sha"))
        with pytest.raises(NotFound):
            mark_deleted(session, 99)
        with pytest.raises(NotFound, match="no collection with id 99"):
            insert_document(session, 99, library.document("a", "text"), library.details("sha"))


def test_deleted_document_leaves_the_search_but_not_its_citations(library: Any) -> None:
    document_id = library.add("a", "some words")
    passage_ids = library.add_passages(document_id, ["some", "words"])
    with library.database.write() as session:
        mark_deleted(session, document_id)
    with library.database.read() as session:
        assert list_documents(session, library.collection_id, filters={}) == []
        assert documents_of_file(session, library.collection_id, "a") == []
        assert load_hits(session, passage_ids) == {}
        assert document_ids_matching(session, library.collection_id, {}).tolist() == []
        assert get_document(session, document_id, version=1).text == "some words"
        [listed] = list_documents(session, library.collection_id, filters={}, include_deleted=True)
        assert listed.deleted_at is not None
        operations = [
            (change.operation, change.passage_id) for change in changes_after(session, library.collection_id, 0, 10)
        ]
    assert operations == [("add", passage_ids[0]), ("add", passage_ids[1]), *(("remove", old) for old in passage_ids)]


def test_new_version_revives_a_deleted_document(library: Any) -> None:
    document_id = library.add("a")
    with library.database.write() as session:
        mark_deleted(session, document_id)
        found = find_by_source(session, library.collection_id, "a")
        assert found is not None
        assert found.deleted_at is not None
        new_version(session, document_id, library.document("a", "again"), library.details("again"))
        assert get_document(session, document_id).document.deleted_at is None


def test_identical_is_the_oldest_living_original(library: Any) -> None:
    first = library.add("a", text_sha256="same")
    second = library.add("b", text_sha256="same", duplicate_of=first)
    third = library.add("c", text_sha256="same")
    with library.database.write() as session:

        def identical(words: str = "same", **options: Any) -> int | None:
            readers = {"origin": "real", "access_labels": (), **options}
            found = find_identical(session, library.collection_id, words, **readers)
            return None if found is None else found.id

        assert identical() == first
        assert identical(exclude_id=first) == third
        assert [document.id for document in duplicates_of(session, first)] == [second]
        mark_deleted(session, first)
        assert identical() == third
        set_duplicate_of(session, second, duplicate_of=None, near_duplicate_of=third)
        assert identical() == second
        assert duplicates_of(session, first) == []
        assert get_document(session, second).document.near_duplicate_of == third
        assert identical("other") is None
        assert identical(origin="synthetic") is None
        assert identical(access_labels=["hr"]) is None
        hidden = library.document("d", "same")
        details = library.details("same", access_labels=["hr", "sales"])
        fourth = insert_document(session, library.collection_id, hidden, details)
        assert identical(access_labels=["sales", "hr"]) == fourth
        assert identical(access_labels=["hr"]) is None


def test_new_title_goes_into_the_index_and_other_changes_do_not(library: Any) -> None:
    document_id = library.add("a", metadata={"k": "old"}, tags={"t": "old"})
    [passage_id] = library.add_passages(document_id, ["words"])
    with library.database.write() as session:
        seen = last_change_id(session, library.collection_id)
        update_metadata(session, document_id, tags={"t": "new"}, file_sha256="new", origin="synthetic")
        assert changes_after(session, library.collection_id, seen, 10) == []
        update_metadata(session, document_id, title="New", metadata={}, pipeline="2")
        changes = changes_after(session, library.collection_id, seen, 10)
        stored = get_document(session, document_id).document
    assert [(change.operation, change.passage_id) for change in changes] == [
        ("remove", passage_id),
        ("add", passage_id),
    ]
    assert (stored.title, stored.tags, stored.metadata) == ("New", {"t": "new"}, {})
    assert (stored.file_sha256, stored.pipeline, stored.origin, stored.version) == ("new", "2", "synthetic", 1)


def test_pages_of_documents_follow_each_other(library: Any) -> None:
    ids = [library.add(source) for source in "abcde"]
    with library.database.read() as session:

        def page(**options: Any) -> list[int]:
            return [stored.id for stored in list_documents(session, library.collection_id, filters={}, **options)]

        assert page(limit=2) == ids[:2]
        assert page(limit=2, after_id=ids[1]) == ids[2:4]
        assert page(after_id=ids[3]) == ids[4:]
        with pytest.raises(InvalidInput, match="limit must be at least 1"):
            page(limit=0)


def test_documents_of_one_file_are_found_together(library: Any) -> None:
    ids = [library.add(f"records.jsonl#{number}", file="records.jsonl") for number in range(3)]
    library.add("other")
    with library.database.read() as session:
        assert [stored.id for stored in documents_of_file(session, library.collection_id, "records.jsonl")] == ids


@pytest.mark.parametrize(
    "values", [{"price": float("nan")}, {"price": float("inf")}, {"": "no name"}, {"a": "\x00"}, {"a\x00": "b"}]
)
def test_values_that_cannot_be_stored_are_refused(library: Any, values: dict[str, str | float]) -> None:
    with pytest.raises(InvalidInput):
        library.add("a", metadata=values)


def test_unknown_origin_is_refused(library: Any) -> None:
    with pytest.raises(InvalidInput, match="origin 'made up' is unknown; it is one of real, synthetic"):
        library.add("a", origin="made up")


def test_documents_are_listed_newest_first_and_by_name(library: Any) -> None:
    leave, pay, holiday = (
        library.add("files/leave.md", title="Leave"),
        library.add("files/pay_100%.md", title="Pay"),
        library.add("files/other.md", title="LEAVE of absence"),
    )

    def ids(**options: Any) -> list[int]:
        with library.database.read() as session:
            return [one.id for one in list_documents(session, library.collection_id, filters={}, **options)]

    assert ids(newest_first=True) == [holiday, pay, leave]
    assert ids(newest_first=True, after_id=pay) == [leave]
    assert ids(contains="leave") == [leave, holiday]
    assert ids(contains="_100%") == [pay]
    assert ids(contains="FILES/", newest_first=True, limit=1) == [holiday]


def test_documents_that_nearly_repeat_another_are_listed(library: Any) -> None:
    first = library.add("a.md")
    again = library.add("b.md", near_duplicate_of=first)
    with library.database.read() as session:
        for wish, ids in ((True, [again]), (False, [first]), (None, [first, again])):
            found = list_documents(session, library.collection_id, filters={}, near_duplicates=wish)
            assert [one.id for one in found] == ids
