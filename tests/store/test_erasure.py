"""Erasing a document: nothing of its words is left but in the answer log, and nobody sees more than before."""

from typing import Any

import pytest
from sqlalchemy import text

from rag.errors import NotFound
from rag.records import OWNER, Caller, Citation, Hit, HitScores
from rag.store import tables
from rag.store.answers import NewAnswer, get_answer, insert_answer
from rag.store.datasets import create_dataset, list_dataset_documents
from rag.store.documents import get_document, list_documents, mark_deleted, new_version, rename_file
from rag.store.erasure import Remains, erase_document, remains_of

SECRET = "Rosalind"
HR, SALES = (Caller(access_labels=frozenset({label})) for label in ("hr", "sales"))


def _erase(library: Any, document_id: int) -> list[int]:
    with library.database.write() as session:
        return erase_document(session, document_id, reason="request 12")


def _remains(library: Any, document_id: int, caller: Caller = OWNER) -> Remains:
    with library.database.read() as session:
        return remains_of(session, document_id, caller=caller)


def _person(library: Any) -> int:
    """A document of which everything but its number names a person."""
    document_id: int = library.add(
        f"file:///{SECRET}.txt",
        f"{SECRET} was here.",
        title=SECRET,
        text_sha256=SECRET,
        metadata={"author": SECRET},
        tags={"person": SECRET},
        signature=SECRET.encode() * 64,
    )
    library.add_passages(document_id, [f"{SECRET} was here."])
    with library.database.write() as session:
        changed = library.document(f"file:///{SECRET}.txt", f"{SECRET} left.", title=SECRET)
        new_version(session, document_id, changed, library.details(f"{SECRET} 2"))
    return document_id


def _log(library: Any, document_id: int, caller: Caller) -> int:
    place: dict[str, Any] = {
        "passage_id": 1,
        "document_id": document_id,
        "document_version": 1,
        "title": "T",
        "source": "s",
    }
    where: dict[str, Any] = {"origin": "real", "page": None, "row": None, "start": 0}
    answer = NewAnswer(
        collection_id=library.collection_id,
        question="Who was here?",
        answer="words",
        abstained=False,
        confidence=0.5,
        citations=(Citation(**place, **where, end=5, quote="words"),),
        passages=(
            Hit(
                **place,
                **where,
                end=5,
                headings=(),
                text="words",
                scores=HitScores(keyword=1.0, vector=None, fused=0.5, relevance=None),
                near_duplicate_of=None,
                also_in=(),
            ),
        ),
        scores=(),
        timings_ms={},
        model="reader",
        model_sha256=None,
        embedding_model="model",
        index_change_id=0,
        settings={},
        caller=caller,
    )
    with library.database.write() as session:
        return insert_answer(session, answer)


def test_no_table_holds_a_word_of_an_erased_document(library: Any) -> None:
    person, other = _person(library), library.add("other")
    library.add_passages(other, ["kept"])
    _erase(library, person)
    with library.database.read() as session:
        for table in tables.Base.metadata.sorted_tables:
            rows = session.execute(text(f'SELECT * FROM "{table.name}"')).all()  # noqa: S608 - names of our own
            assert SECRET not in str(rows), table.name
            assert SECRET.encode().hex() not in str(rows), table.name
        assert [d.id for d in list_documents(session, library.collection_id, filters={})] == [other]
        assert session.scalars(text("SELECT text FROM passages")).all() == ["kept"]


def test_not_even_the_sqlite_file_holds_a_word(library: Any) -> None:
    path = library.database.path
    if path is None:
        return  # PostgreSQL keeps dead rows until it vacuums
    person = _person(library)
    library.database.dispose()
    assert SECRET.encode() in path.read_bytes()
    _erase(library, person)
    library.database.dispose()
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_erased_document_is_told_from_one_that_never_was(library: Any) -> None:
    person = _person(library)
    _erase(library, person)
    with library.database.read() as session:
        for version in (None, 2):
            with pytest.raises(NotFound, match=f"Document {person} has been erased"):
                get_document(session, person, version=version)
        (left,) = list_documents(session, library.collection_id, filters={}, include_deleted=True)
    assert (left.id, left.source, left.title) == (person, f"erased:{person}", "")
    assert left.deleted_at is not None
    for look in (_erase, _remains):
        with pytest.raises(NotFound, match=f"Document {person} has been erased"):
            look(library, person)
        with pytest.raises(NotFound, match="There is no document 99"):
            look(library, 99)


def test_deleted_document_is_erased_as_well_and_its_source_is_free_again(library: Any) -> None:
    person = _person(library)
    with library.database.write() as session:
        mark_deleted(session, person)
    _erase(library, person)
    again = library.add(f"file:///{SECRET}.txt")
    assert again != person
    with library.database.read() as session:
        assert get_document(session, again).version == 1


def test_dataset_is_left_also_under_a_former_source(library: Any) -> None:
    person = library.add("file:///before.txt")
    library.add("b")
    dataset = create_dataset(library.database, library.collection_id, name="v1")
    with library.database.write() as session:
        rename_file(session, library.collection_id, former="file:///before.txt", present="file:///after.txt")
    assert _erase(library, person) == [dataset.id]
    with library.database.read() as session:
        assert [d.source for d in list_dataset_documents(session, dataset.id)] == ["b"]


def test_remains_are_answers_and_documents_that_the_caller_may_know_of(library: Any) -> None:
    person = library.add("a", text_sha256="same")
    for_hr = library.add("b", text_sha256="same", access_labels=["hr"])
    deleted = library.add("c", text_sha256="same")
    library.add("d", text_sha256="other")
    with library.database.write() as session:
        mark_deleted(session, deleted)
    by_owner, by_hr = _log(library, person, OWNER), _log(library, person, HR)
    _log(library, for_hr, HR)
    assert _remains(library, person) == Remains(answer_ids=(by_owner, by_hr), document_ids=(for_hr, deleted))
    assert _remains(library, person, HR) == Remains(answer_ids=(by_hr,), document_ids=(for_hr, deleted))
    assert _remains(library, person, SALES) == Remains(answer_ids=(), document_ids=(deleted,))
    with pytest.raises(NotFound):
        _remains(library, for_hr, SALES)


def test_logged_answer_stays_closed_once_the_document_that_closed_it_is_erased(library: Any) -> None:
    person = library.add("a", access_labels=["hr"])
    answer_id = _log(library, person, Caller(access_labels=frozenset()))
    _erase(library, person)
    with library.database.read() as session:
        assert get_answer(session, answer_id, caller=HR).answer.citations[0].quote == "words"
        with pytest.raises(NotFound):
            get_answer(session, answer_id, caller=SALES)
