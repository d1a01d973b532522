"""The versions of a document."""

from typing import TYPE_CHECKING

import pytest

from rag.errors import NotFound
from rag.records import Caller
from rag.store.document_versions import list_versions
from rag.store.documents import new_version

if TYPE_CHECKING:
    from conftest import Library


def test_versions_are_listed_newest_first_and_page_by_page(library: "Library") -> None:
    document_id = library.add("leave.md", "28 days 🦩", title="Leave")
    for number, text in ((2, "29 days"), (3, "30 days of leave")):
        changed = library.document("leave.md", text, title=f"Leave {number}")
        with library.database.write() as session:
            new_version(session, document_id, changed, library.details(f"sha {number}"))
    with library.database.read() as session:
        versions = list_versions(session, document_id)
        assert list_versions(session, document_id, limit=2) == versions[:2]
        assert list_versions(session, document_id, before_version=2) == versions[2:]
    assert [(one.version, one.title, one.num_chars) for one in versions] == [
        (3, "Leave 3", 16),
        (2, "Leave 2", 7),
        (1, "Leave", 9),
    ]


def test_versions_of_a_document_that_is_not_open_to_a_caller_are_not_found(library: "Library") -> None:
    document_id = library.add("pay.md", access_labels=("hr",))
    with library.database.read() as session:
        for caller in (Caller(access_labels=frozenset({"it"})), Caller(access_labels=frozenset())):
            with pytest.raises(NotFound):
                list_versions(session, document_id, caller=caller)
        assert list_versions(session, document_id, caller=Caller(access_labels=frozenset({"hr"})))
        with pytest.raises(NotFound):
            list_versions(session, 99)
