"""Which document is linked to which, as documents come, change and go. Nothing is embedded here."""

import threading
from dataclasses import dataclass

import pytest

from rag.ingest.near_duplicates import NearDuplicates
from rag.ingest.preparation import Preparer
from rag.ingest.storing import DocumentStorer, Labels, Outcome
from rag.records import Document, Passage
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import find_by_source, get_document

WORDS = [f"word{number}" for number in range(60)]


class WithoutPassages(Preparer):
    """Hashes and signs documents only."""

    def __init__(self, pipeline: str = "1") -> None:
        self._name = pipeline

    @property
    def embedding_model(self) -> str:
        return "model"

    @property
    def pipeline(self) -> str:
        return self._name

    def split(self, text: str, sections: object) -> list[Passage]:
        del text, sections
        return []


def _document(name: str, words: list[str]) -> Document:
    text = " ".join(words)
    return Document(source=name, file=name, title=name, media_type="text/plain", text=text, sections=(), metadata={})


@dataclass(frozen=True)
class Library:
    """A collection with one storer: that of one ingestion run."""

    database: Database
    collection_id: int
    pipeline: str = "1"

    def put(self, name: str, words: list[str], *, deduplicate: bool = True) -> Outcome:
        """Store a text, and return what became of it."""
        preparer = WithoutPassages(self.pipeline)
        storer = DocumentStorer(preparer, NearDuplicates(threshold=0.8), self.collection_id)
        with self.database.write() as session:
            return storer.store(
                session,
                preparer.prepare(_document(name, words)),
                (),
                preparer.vectors(self.collection_id),
                file_sha256="",
                labels=Labels(tags={}, deduplicate=deduplicate),
            )

    def remove(self, name: str) -> None:
        """Take a document out."""
        storer = DocumentStorer(WithoutPassages(), NearDuplicates(threshold=0.8), self.collection_id)
        with self.database.write() as session:
            stored = find_by_source(session, self.collection_id, name)
            assert stored is not None
            storer.remove(session, stored.id)

    def erase(self, name: str) -> None:
        """Take a document out for good."""
        storer = DocumentStorer(WithoutPassages(), NearDuplicates(threshold=0.8), self.collection_id)
        with self.database.write() as session:
            stored = find_by_source(session, self.collection_id, name)
            assert stored is not None
            assert storer.erase(session, stored.id, reason="request 12") == []

    def links(self, *names: str) -> list[str]:
        """What each document repeats: nothing, ``=name`` exactly or ``~name`` nearly."""
        with self.database.read() as session:
            found = []
            for name in names:
                stored = find_by_source(session, self.collection_id, name)
                assert stored is not None
                other = stored.duplicate_of or stored.near_duplicate_of
                sign = "=" if stored.duplicate_of else "~"
                found.append(sign + get_document(session, other).document.source if other else "")
        return found


@pytest.fixture
def library(database: Database) -> Library:
    with database.write() as session:
        return Library(database, get_or_create_collection(session, "texts", embedding_model="model").id)


@pytest.fixture
def local(sqlite_database: Database) -> Library:
    with sqlite_database.write() as session:
        return Library(sqlite_database, get_or_create_collection(session, "texts", embedding_model="model").id)


def _other(number: int) -> list[str]:
    return [f"other{number}x{place}" for place in range(60)]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_copy_takes_the_place_of_an_erased_original(library: Library, *, is_deleted: bool) -> None:
    library.put("a", WORDS)
    library.put("b", WORDS)
    library.put("c", [*WORDS, "end"])
    assert library.links("b", "c") == ["=a", "~a"]
    if is_deleted:
        library.remove("a")
    library.erase("a")
    assert library.links("b", "c") == ["", "~b"]
    with library.database.read() as session:
        assert find_by_source(session, library.collection_id, "a") is None


def test_document_stored_by_another_run_meanwhile_is_found(library: Library) -> None:
    ends, failures = [], []
    stored, go_on = threading.Event(), threading.Event()

    def first_run() -> None:
        try:
            with library.database.write() as session:
                storer = DocumentStorer(WithoutPassages(), NearDuplicates(threshold=0.8), library.collection_id)
                document = Document(
                    source="a",
                    file="a",
                    title="a",
                    media_type="text/plain",
                    text=" ".join(WORDS),
                    sections=(),
                    metadata={},
                )
                prepared = WithoutPassages().prepare(document)
                vectors = WithoutPassages().vectors(library.collection_id)
                storer.store(session, prepared, (), vectors, file_sha256="", labels=Labels(tags={}))
                stored.set()
                go_on.wait(5)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)
            stored.set()

    def second_run() -> None:
        ends.append(library.put("b", [*WORDS, "end"]))

    first, second = threading.Thread(target=first_run), threading.Thread(target=second_run)
    first.start()
    assert stored.wait(5)
    second.start()
    second.join(0.3)
    assert ends == []  # it waits for the first
    go_on.set()
    first.join(5)
    second.join(5)
    assert failures == []
    assert library.links("a", "b") == ["", "~a"]


def test_original_that_goes_leaves_its_place_to_the_oldest_near_duplicate(library: Library) -> None:
    for name, words in {"a": WORDS, "b": [*WORDS, "x"], "c": [*WORDS, "y"], "d": [*WORDS, "z"]}.items():
        library.put(name, words)
    assert library.links("a", "b", "c", "d") == ["", "~a", "~a", "~a"]
    library.remove("a")
    assert library.links("b", "c", "d") == ["", "~b", "~b"]
    library.put("a", WORDS)
    assert library.links("a", "b") == ["~b", ""]


def test_near_duplicate_that_resembles_no_other_becomes_an_original(local: Library) -> None:
    more = [f"more{number}" for number in range(8)]
    local.put("a", WORDS)
    local.put("b", [*more, *WORDS])
    local.put("c", [*WORDS, *(f"else{number}" for number in range(8))])
    local.put("d", [*more[1:], *WORDS])
    assert local.links("a", "b", "c", "d") == ["", "~a", "~a", "~a"]
    local.put("a", _other(1))
    assert local.links("a", "b", "c", "d") == ["", "", "", "~b"]


def test_heir_takes_over_what_its_original_repeated_and_what_repeated_it(library: Library) -> None:
    library.put("a", WORDS)
    more = [f"more{number}" for number in range(16)]
    library.put("b", [*WORDS, *more[:6]])
    library.put("copy", [*WORDS, *more[:6]])
    library.put("c", [*WORDS, *more])
    assert library.links("a", "b", "copy", "c") == ["", "~a", "=b", "~b"]
    library.remove("b")
    assert library.links("copy", "c") == ["~a", "~copy"]


def test_document_that_changes_a_little_repeats_its_former_copy(local: Library) -> None:
    local.put("a", WORDS)
    local.put("b", [*WORDS, "x"])
    assert local.put("a", [*WORDS, "y"]).kind == "updated"
    assert local.links("a", "b") == ["~b", ""]


def test_links_never_lead_in_a_circle(local: Library) -> None:
    shift = [[*WORDS[number * 3 :], *(f"t{place}" for place in range(number * 3))] for number in range(8)]
    names = [f"d{number}" for number in range(8)]
    for name, words in zip(names, shift, strict=True):
        local.put(name, words)
    for step in (0, 3, 1, 5, 2, 0, 4):
        local.put(names[step], [*shift[(step + 3) % 8], f"u{step}"])
        for name in names:
            seen = [name]
            while link := local.links(seen[-1])[0]:
                assert link[1:] not in seen
                seen.append(link[1:])


def test_same_words_split_another_way_keep_their_links(local: Library) -> None:
    local.put("a", WORDS)
    local.put("copy", WORDS)
    local.put("b", [*WORDS, "x"])
    other = Library(local.database, local.collection_id, pipeline="2")
    assert other.put("a", WORDS).kind == "updated"
    assert other.put("copy", WORDS).kind == "exact_duplicate"
    assert other.put("b", [*WORDS, "x"]).near_duplicate_of is not None
    assert local.links("a", "copy", "b") == ["", "=a", "~a"]


def test_without_deduplication_nothing_is_linked_and_duplicates_are_set_free(local: Library) -> None:
    local.put("a", WORDS)
    local.put("copy", WORDS)
    local.put("b", WORDS, deduplicate=False)
    assert local.links("a", "copy", "b") == ["", "=a", ""]
    local.put("a", _other(1), deduplicate=False)
    assert local.links("copy") == [""]
