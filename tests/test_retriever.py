"""Folding: which hits become one. Searching itself is tested where there is an index."""

from dataclasses import replace

from rag.records import DocumentReference, Hit, HitScores
from rag.retriever import _Folded
from rag.text.clean import normalized_sha256


def _hit(document_id: int, *, near_duplicate_of: int | None = None, text: str = "The same words.") -> Hit:
    return Hit(
        passage_id=10 * document_id,
        document_id=document_id,
        document_version=1,
        title=f"Title {document_id}",
        source=f"file:///{document_id}",
        origin="real",
        headings=(),
        page=None,
        row=None,
        start=0,
        end=len(text),
        text=text,
        scores=HitScores(keyword=None, vector=None, fused=0.0, relevance=None),
        near_duplicate_of=near_duplicate_of,
        also_in=(),
    )


def _fold(*hits: Hit, top_k: int = 10, repeated: str | None = None) -> list[tuple[int, list[int]]]:
    """The documents of the hits that are left, each with those that are folded into it.

    Hits with the words ``repeated`` are repeated passages.
    """
    folded = _Folded()
    for hit in hits:
        is_full = len(folded.hits) >= top_k
        folded.put(hit, full=is_full, text_sha256=normalized_sha256(hit.text), is_repeated=hit.text == repeated)
    return [(hit.document_id, [other.document_id for other in hit.also_in]) for hit in folded.hits]


def test_same_words_of_near_duplicates_become_one_hit_in_any_order() -> None:
    original, copy, sibling = _hit(1), _hit(2, near_duplicate_of=1), _hit(3, near_duplicate_of=1)
    assert _fold(original, copy, sibling) == [(1, [2, 3])]
    assert _fold(sibling, copy) == [(3, [2])]


def test_copy_of_a_copy_folds_into_the_copy_and_not_into_what_it_does_not_resemble() -> None:
    original, copy, copy_of_copy = _hit(1), _hit(2, near_duplicate_of=1), _hit(3, near_duplicate_of=2)
    assert _fold(copy_of_copy, copy) == [(3, [2])]
    assert _fold(copy, copy_of_copy) == [(2, [3])]
    assert _fold(original, copy_of_copy) == [(1, []), (3, [])]


def test_other_words_and_unrelated_documents_stay_apart() -> None:
    assert _fold(_hit(1), _hit(2, near_duplicate_of=1, text="Other words.")) == [(1, []), (2, [])]
    assert _fold(_hit(1), _hit(2)) == [(1, []), (2, [])]


def test_full_list_takes_no_more_hits_but_still_notes_where_else_their_words_are() -> None:
    assert _fold(_hit(1), _hit(5), _hit(2, near_duplicate_of=1), top_k=1) == [(1, [2])]


def test_repeated_passages_fold_whatever_their_documents_are() -> None:
    notice = "The notice."
    hits = [_hit(1, text=notice), _hit(2), _hit(3, text=notice), _hit(4), _hit(5, text=notice), _hit(3, text=notice)]
    assert _fold(*hits, repeated=notice) == [(1, [3, 5]), (2, []), (4, [])]
    assert _fold(*hits, repeated=notice, top_k=1) == [(1, [3, 5])]


def test_exact_duplicates_of_what_is_folded_are_named_once() -> None:
    other = DocumentReference(document_id=7, title="", source="", origin="real")
    notice = "The notice."
    hits = [replace(_hit(number, text=notice), also_in=(other,)) for number in (1, 2)]
    assert _fold(*hits, repeated=notice) == [(1, [7, 2])]
