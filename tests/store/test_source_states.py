"""What has become of documents that an answer was read from."""

from typing import Any

from rag.records import OWNER, Caller
from rag.store.documents import mark_deleted
from rag.store.erasure import erase_document
from rag.store.source_states import source_states


def test_state_of_each_version_is_told(library: Any) -> None:
    kept, deleted, erased, secret = (library.add(name) for name in ("kept", "deleted", "erased", "other"))
    hidden = library.add("hidden", access_labels=("hr",))
    with library.database.write() as session:
        mark_deleted(session, deleted)
        erase_document(session, erased, reason="asked for")
    versions = [(kept, 1), (kept, 2), (deleted, 1), (erased, 1), (secret, 1), (hidden, 1), (999, 1)]
    with library.database.read() as session:
        found = source_states(session, versions, caller=OWNER)
        others = source_states(session, [(hidden, 1), (kept, 1)], caller=Caller(access_labels=frozenset()))
    assert found == {
        (kept, 1): "unchanged",
        (kept, 2): "changed",
        (deleted, 1): "deleted",
        (erased, 1): "erased",
        (secret, 1): "unchanged",
        (hidden, 1): "unchanged",
        (999, 1): "erased",
    }
    assert others == {(hidden, 1): "closed", (kept, 1): "unchanged"}
