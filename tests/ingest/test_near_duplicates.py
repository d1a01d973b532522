import random

import pytest

from rag.ingest import near_duplicates
from rag.ingest.near_duplicates import NearDuplicate, NearDuplicates, jaccard, shingles, signature_of
from rag.records import Document
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import DocumentDetails, insert_document
from rag.store.near_duplicates import band_hashes


def _text(num_words: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [f"w{rng.randrange(5000)}" for _ in range(num_words)]


class Library:
    """Texts in a collection, stored without passages."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.write() as session:
            self.collection_id = get_or_create_collection(session, "texts", embedding_model="model").id

    def add(self, text: str, **links: int | None) -> int:
        source = str(random.random())
        document = Document(
            source=source, file=source, title="", media_type="text/plain", text=text, sections=(), metadata={}
        )
        details = DocumentDetails(
            file_sha256="", text_sha256=source, pipeline="", signature=signature_of(text), **links
        )
        with self.database.write() as session:
            return insert_document(session, self.collection_id, document, details)

    def find(self, text: str, *, threshold: float = 0.8, **options: object) -> NearDuplicate | None:
        with self.database.read() as session:
            return NearDuplicates(threshold=threshold).find(
                session, self.collection_id, text, signature_of(text), **options
            )


@pytest.fixture
def library(sqlite_database: Database) -> Library:
    return Library(sqlite_database)


def _original(document_id: int) -> NearDuplicate:
    return NearDuplicate(document_id=document_id, is_original=True)


def test_found_if_and_only_if_a_band_is_shared_and_the_exact_similarity_reaches_the_threshold(library: Library) -> None:
    rng = random.Random(7)
    outcomes = set()
    for seed in range(60):
        words = _text(100, seed)
        edited = [word if rng.random() > seed % 6 / 60 else f"x{seed}" for word in words]
        text, other = " ".join(words), " ".join(edited)
        document_id = library.add(text)
        left, right = signature_of(text), signature_of(other)
        assert left is not None
        assert right is not None
        shares = any(one == two for one, two in zip(band_hashes(left), band_hashes(right), strict=True))
        is_near = jaccard(shingles(text), shingles(other)) >= 0.8
        assert library.find(other) == (_original(document_id) if shares and is_near else None)
        outcomes.add((shares, is_near))
    assert {(True, True), (True, False), (False, False)} <= outcomes


@pytest.mark.parametrize("above", [False, True])
def test_words_decide_at_the_threshold_and_not_the_estimate(library: Library, above: bool) -> None:
    words = _text(600, 1)
    edited = " ".join([*words[:560], *_text(40, 2)])
    true = jaccard(shingles(" ".join(words)), shingles(edited))
    document_id = library.add(" ".join(words))
    threshold = true + 1e-6 if above else true
    assert library.find(edited, threshold=threshold) == (None if above else _original(document_id))


def test_case_and_punctuation_do_not_count_but_words_do() -> None:
    assert signature_of("One, two: THREE four!") == signature_of("one two three four")
    assert signature_of("one two three four") != signature_of("one two three five")
    assert shingles("One, two: THREE four!") == {"one two three", "two three four"}


@pytest.mark.parametrize("text", ["", "one two", "!!! ???"])
def test_text_too_short_for_a_shingle_has_no_signature_and_repeats_nothing(library: Library, text: str) -> None:
    library.add(text)
    assert signature_of(text) is None
    assert library.find(text) is None


def test_original_is_named_before_a_near_duplicate_with_a_lower_id_and_the_oldest_before_others(
    library: Library,
) -> None:
    words = _text(100, 1)
    elsewhere = library.add(" ".join(_text(100, 2)))
    copy = library.add(" ".join([*words, "end"]), near_duplicate_of=elsewhere)
    assert library.find(" ".join(words)) == NearDuplicate(document_id=copy, is_original=False)
    oldest = library.add(" ".join([*words, "finish"]))
    library.add(" ".join(words))
    assert library.find(" ".join(words)) == _original(oldest)
    assert library.find(" ".join(words), replaced={elsewhere}) == _original(copy)
    assert library.find(" ".join(words), replaced={copy, oldest}) == _original(oldest + 1)


def test_document_that_leads_back_to_the_text_is_not_found(library: Library) -> None:
    words = " ".join(_text(100, 1))
    document_id = library.add("short")
    library.add(words, near_duplicate_of=document_id)
    assert library.find(words) is not None
    assert library.find(words, document_id=document_id) is None


def test_original_of_many_copies_is_found_behind_those_looked_at(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_CANDIDATES", 2)
    words = _text(200, 1)
    original = library.add(" ".join([*words[:-6], *["a", "b", "c", "d", "e", "f"]]))
    for _ in range(4):
        library.add(" ".join(words), near_duplicate_of=original)
    assert library.find(" ".join(words)) == _original(original)
