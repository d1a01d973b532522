"""Bands of signatures: who is proposed, and whose bands are there."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from rag.store import near_duplicates
from rag.store.collections import get_or_create_collection
from rag.store.documents import insert_document, mark_deleted, new_version, set_duplicate_of
from rag.store.near_duplicates import (
    NUM_BANDS,
    ROWS_PER_BAND,
    band_hashes,
    current_text,
    find_candidates,
    leads_to,
    near_duplicates_of,
)


def _signature(*, seed: int, num_changed_bands: int = 0) -> bytes:
    """A signature that differs from that of the same seed in its first bands."""
    values = np.random.default_rng(seed).integers(2**32, size=128, dtype=np.uint32)
    values[np.arange(num_changed_bands) * ROWS_PER_BAND] += 1
    return values.astype("<u4").tobytes()


def _ids(library: Any, signature: bytes, *, limit: int = 50) -> list[int]:
    with library.database.read() as session:
        found = find_candidates(session, library.collection_id, signature, limit=limit)
    return [candidate.document_id for candidate in found]


def _num_bands(library: Any, document_id: int) -> int:
    with library.database.read() as session:
        count = text("SELECT COUNT(*) FROM near_duplicate_bands WHERE document_id = :id")
        return int(session.execute(count, {"id": document_id}).scalar_one())


def test_band_hashes_are_signed_64_bit_numbers_that_depend_on_the_place_of_the_band() -> None:
    hashes = band_hashes(_signature(seed=1))
    assert len(hashes) == NUM_BANDS
    assert min(hashes) < 0 < max(hashes)
    assert all(-(2**63) <= value < 2**63 for value in hashes)
    assert len(set(band_hashes(b"\x01\x02\x03\x04" * 128))) == NUM_BANDS
    changed = band_hashes(_signature(seed=1, num_changed_bands=2))
    assert [one == other for one, other in zip(hashes, changed, strict=True)] == [False] * 2 + [True] * (NUM_BANDS - 2)


def test_those_that_share_most_bands_come_first_and_then_the_lowest_ids(library: Any) -> None:
    far = library.add("far", signature=_signature(seed=1, num_changed_bands=NUM_BANDS - 1))
    first = library.add("first", signature=_signature(seed=1, num_changed_bands=3))
    library.add("none", signature=_signature(seed=1, num_changed_bands=NUM_BANDS))
    second = library.add("second", signature=_signature(seed=1, num_changed_bands=3))
    library.add("other", signature=_signature(seed=2))
    assert _ids(library, _signature(seed=1)) == [first, second, far]
    assert _ids(library, _signature(seed=1), limit=2) == [first, second]


def test_what_candidates_nearly_repeat_is_proposed_after_them(library: Any) -> None:
    original = library.add("original", signature=_signature(seed=1))
    copy = library.add("copy", signature=_signature(seed=2), near_duplicate_of=original)
    with library.database.read() as session:
        found = find_candidates(session, library.collection_id, _signature(seed=2), limit=1)
    assert [(one.document_id, one.near_duplicate_of, one.signature) for one in found] == [
        (copy, original, _signature(seed=2)),
        (original, None, _signature(seed=1)),
    ]


def test_band_that_many_share_proposes_the_lowest_ids(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [library.add(f"{number}", signature=_signature(seed=1)) for number in range(5)]
    monkeypatch.setattr(near_duplicates, "MAX_PER_BAND", 3)
    assert _ids(library, _signature(seed=1)) == ids[:3]


def test_bands_belong_to_living_documents_that_are_no_exact_duplicates(library: Any) -> None:
    first = library.add("a", signature=_signature(seed=1))
    copy = library.add("b", signature=_signature(seed=1), duplicate_of=first)
    short = library.add("c")
    assert [_num_bands(library, one) for one in (first, copy, short)] == [NUM_BANDS, 0, 0]
    with library.database.write() as session:
        mark_deleted(session, first)
        set_duplicate_of(session, copy, duplicate_of=None, near_duplicate_of=None)
    assert [_num_bands(library, one) for one in (first, copy)] == [0, NUM_BANDS]
    with library.database.write() as session:
        set_duplicate_of(session, copy, duplicate_of=first, near_duplicate_of=None)
    assert _num_bands(library, copy) == 0


def test_new_words_bring_new_bands(library: Any) -> None:
    document_id = library.add("a", signature=_signature(seed=1))
    with library.database.write() as session:
        new_version(
            session, document_id, library.document("a", "new"), library.details("new", signature=_signature(seed=2))
        )
    assert (_ids(library, _signature(seed=1)), _ids(library, _signature(seed=2))) == ([], [document_id])
    assert _num_bands(library, document_id) == NUM_BANDS
    with library.database.write() as session:
        new_version(session, document_id, library.document("a", "short"), library.details("short"))
    assert _num_bands(library, document_id) == 0


def test_other_collections_are_not_searched(library: Any) -> None:
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model")
        insert_document(
            session, other.id, library.document("a", "words"), library.details("a", signature=_signature(seed=1))
        )
    assert _ids(library, _signature(seed=1)) == []


def test_links_are_followed_to_their_end(library: Any) -> None:
    first = library.add("a")
    second = library.add("b", near_duplicate_of=first)
    third = library.add("c", near_duplicate_of=second)
    gone = library.add("d", near_duplicate_of=first)
    with library.database.write() as session:
        mark_deleted(session, gone)
        assert near_duplicates_of(session, first) == [second]
        assert leads_to(session, third, first)
        assert leads_to(session, third, third)
        assert not leads_to(session, first, third)


def test_current_text_is_that_of_the_newest_version(library: Any) -> None:
    document_id = library.add("a", "old words")
    with library.database.write() as session:
        new_version(session, document_id, library.document("a", "new words"), library.details("new"))
        assert current_text(session, document_id) == "new words"
