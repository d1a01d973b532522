from pathlib import Path

import numpy as np
import pytest

from rag.errors import IndexDamaged
from rag.index.allowed_ids import AllowedIds
from rag.index.keyword import KeywordEntry, KeywordIndex

TEXTS = ["The running dogs", "Cats run away", "Birds fly", "A dog house", "Crème brûlée is served"]


def _entries() -> list[KeywordEntry]:
    return [KeywordEntry(passage_id=i, context="", text=text) for i, text in enumerate(TEXTS)]


@pytest.fixture
def index() -> KeywordIndex:
    index = KeywordIndex()
    index.apply(add=_entries())
    return index


def _ids(hits: list[tuple[int, float]]) -> list[int]:
    return [passage_id for passage_id, _ in hits]


def test_words_are_found_by_their_stem_best_first(index: KeywordIndex) -> None:
    assert _ids(index.search("dog runs", limit=5)) == [0, 3, 1]


def test_stop_words_and_accents_do_not_matter(index: KeywordIndex) -> None:
    assert index.search("the is a", limit=5) == []
    assert _ids(index.search("creme brulee", limit=5)) == [4]


def test_query_syntax_is_plain_words(index: KeywordIndex) -> None:
    assert _ids(index.search('birds AND NOT (fly" body:dog^2 *', limit=1)) == [2]


def test_only_allowed_passages_are_found(index: KeywordIndex) -> None:
    assert _ids(index.search("dog", limit=5, allowed=AllowedIds.of_ids(np.array([2, 3])))) == [3]
    assert index.search("dog", limit=5, allowed=AllowedIds.of_ids(np.array([], dtype=np.int64))) == []


def test_what_is_allowed_does_not_change_the_score(index: KeywordIndex) -> None:
    assert dict(index.search("dog", limit=5))[3] == pytest.approx(
        dict(index.search("dog", limit=5, allowed=AllowedIds.of_ids(np.array([2, 3]))))[3]
    )


def test_adding_a_passage_again_replaces_it(index: KeywordIndex) -> None:
    index.apply(add=[KeywordEntry(passage_id=0, context="", text="sleeping tigers")])
    assert len(index) == len(TEXTS)
    assert _ids(index.search("dog", limit=5)) == [3]
    assert _ids(index.search("tiger", limit=5)) == [0]


def test_removed_passage_is_not_found(index: KeywordIndex) -> None:
    index.apply(remove=[0, 99])
    assert _ids(index.search("dog", limit=5)) == [3]


def test_index_in_a_folder_is_there_when_opened_again(tmp_path: Path) -> None:
    KeywordIndex(tmp_path).apply(add=_entries())
    assert _ids(KeywordIndex(tmp_path).search("dog", limit=5)) == [0, 3]


def test_damaged_folder_is_refused(tmp_path: Path) -> None:
    KeywordIndex(tmp_path).apply(add=_entries())
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(IndexDamaged):
        KeywordIndex(tmp_path)
