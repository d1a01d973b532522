"""Texts that are embedded once, whatever holds them: in one batch, in SQL, in another version, in a new generation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.index.embedder import Embedder
from rag.ingest import passage_vectors
from rag.ingest.labels import Labels
from rag.records import Caller, Document, SearchOptions, Section
from rag.store import migrate
from rag.store.database import Database
from rag.store.repeated_passages import MIN_DOCUMENTS, list_repeated

NOTICE = (
    "No part of this text may be copied or handed on without the written consent of the publisher, who is not liable "
    "for damage that comes of improper use and reserves the right to change the text at any time without notice."
)
VECTOR = SearchOptions(mode="vector", rerank=False)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Rag:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path) -> Rag:
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the real model embeds from now on."""
    texts: list[str] = []
    embed = Embedder.embed

    def counting(self: Embedder, given: Sequence[str]) -> np.ndarray:
        texts.extend(given)
        return embed(self, given)

    monkeypatch.setattr(Embedder, "embed", counting)
    return texts


def _document(name: str, *parts: str, title: str | None = None) -> Document:
    """A document with a page for each part, so that each is a passage of its own."""
    whole = "\n\n".join(parts)
    starts = [sum(len(part) + 2 for part in parts[:number]) for number in range(len(parts))]
    return Document(
        source=name,
        file="file",
        title=title or f"Title {name}",
        media_type="text/plain",
        text=whole,
        sections=tuple(
            Section(start=start, end=start + len(part), page=number)
            for number, (start, part) in enumerate(zip(starts, parts, strict=True), start=1)
        ),
    )


def _ingest(service: Rag, *documents: Document, labels: Labels | None = None, file: str = "file"):
    return service.ingester.ingest_documents(
        [replace(document, file=file) for document in documents],
        file=file,
        file_sha256="",
        collection="default",
        labels=labels or Labels(tags={}),
    )


def _own(number: int) -> str:
    """Words that no other document has."""
    return " ".join(f"{number}x{place}" for place in range(20))


def _with_notice(*numbers: int) -> list[Document]:
    return [_document(f"d{number}", _own(number), NOTICE) for number in numbers]


def _vectors(service: Rag, words: str = NOTICE) -> dict[str, tuple[bool, bytes]]:
    """Of the passages with these words: mark and vector, by source."""
    with service.database.read() as session:
        rows = session.execute(
            text(
                "SELECT d.source, p.is_repeated, e.vector FROM passages p JOIN documents d ON d.id = p.document_id "
                "JOIN passage_embeddings e ON e.passage_id = p.id WHERE p.text = :words"
            ),
            {"words": words},
        ).all()
    return {row.source: (bool(row.is_repeated), bytes(row.vector)) for row in rows}


def test_same_text_is_embedded_once_in_a_batch_and_once_in_a_collection(service: Rag, embedded: list[str]) -> None:
    report = _ingest(service, _document("a", "The same.", "Other.", title="T"), _document("b", "The same.", title="T"))
    assert (report.num_passages, report.num_passages_reused) == (3, 1)
    assert sorted(embedded) == ["T\nOther.", "T\nThe same."]
    embedded.clear()
    report = _ingest(service, _document("c", "Other.", "Third.", title="T"), file="later")
    assert (report.num_passages, report.num_passages_reused) == (2, 1)
    assert embedded == ["T\nThird."]
    assert _vectors(service, "Other.")["a"] == _vectors(service, "Other.")["c"]


def test_same_words_under_another_title_are_another_text(local: Rag, embedded: list[str]) -> None:
    report = _ingest(local, _document("a", "The same."), _document("b", "The same.", "More."))
    assert report.num_passages_reused == 0
    assert len(embedded) == 3


def test_changed_document_embeds_only_what_changed(service: Rag, embedded: list[str]) -> None:
    _ingest(service, _document("a", _own(1), _own(2), _own(3)))
    embedded.clear()
    report = _ingest(service, _document("a", _own(1), _own(4), _own(3)))
    assert (report.num_updated, report.num_passages, report.num_passages_reused) == (1, 3, 2)
    assert embedded == [f"Title a\n{_own(4)}"]


def test_heir_of_a_removed_document_takes_over_its_vectors(service: Rag, embedded: list[str]) -> None:
    _ingest(service, _document("a", _own(1), title="T"), _document("copy", _own(1), title="T"))
    (hit,) = service.search(_own(1), top_k=1)
    embedded.clear()
    service.ingester.remove(hit.document_id)
    assert embedded == []
    (heir,) = service.search(_own(1), top_k=1)
    assert (heir.source, heir.text) == ("copy", hit.text)


def test_hits_are_those_of_passages_that_were_all_embedded_by_themselves(
    local: Rag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["apples and pears", "the old mill", "a quiet river", "nine green bottles"]
    documents = [
        _document(f"d{n}", *(f"Part {m}: {words[(n * m) % 4]}." for m in range(4)), title=f"T{n % 2}") for n in range(6)
    ]
    report = _ingest(local, *documents)
    assert report.num_passages_reused > 3
    found = [[(h.source, h.text) for h in local.search(query, top_k=20, options=VECTOR)] for query in words]
    monkeypatch.setattr(passage_vectors, "stored_vectors", lambda *_: {})
    url = f"sqlite:///{tmp_path / 'apart.db'}"
    database = Database(url)
    migrate.upgrade(database)
    database.dispose()
    with Rag(Settings(database_url=url, data_dir=tmp_path / "apart")) as apart:
        for document in documents:
            assert _ingest(apart, document, file=document.source).num_passages_reused == 0
        again = [[(h.source, h.text) for h in apart.search(query, top_k=20, options=VECTOR)] for query in words]
    assert [sorted(hits) for hits in again] == [sorted(hits) for hits in found]
    assert [hits[0][1] for hits in again] == [hits[0][1] for hits in found]


def test_notice_of_many_documents_is_marked_everywhere_and_embedded_once(service: Rag, embedded: list[str]) -> None:
    _ingest(service, *_with_notice(*range(MIN_DOCUMENTS - 1)))
    assert len({vector for _, vector in _vectors(service).values()}) == MIN_DOCUMENTS - 1
    assert not any(is_repeated for is_repeated, _ in _vectors(service).values())
    embedded.clear()
    report = _ingest(service, *_with_notice(MIN_DOCUMENTS), file="one more")
    assert [given for given in embedded if NOTICE in given] == [f"\n{NOTICE}"]
    assert all(is_repeated for is_repeated, _ in _vectors(service).values())
    assert len(_vectors(service)) == MIN_DOCUMENTS
    embedded.clear()
    report = _ingest(service, *_with_notice(*range(20, 30)), file="ten more")
    assert not any(NOTICE in given for given in embedded)
    assert (report.num_passages, report.num_passages_reused) == (20, 10)


def test_notice_that_a_batch_repeats_is_embedded_once_with_it(local: Rag, embedded: list[str]) -> None:
    report = _ingest(local, *_with_notice(*range(12)))
    assert [given for given in embedded if NOTICE in given] == [f"\n{NOTICE}"]
    assert (report.num_passages, report.num_passages_reused) == (24, 11)
    with local.database.read() as session:
        (passage,) = list_repeated(session, local.collection("default").id)
    assert (passage.text, passage.num_documents) == (NOTICE, 12)


def test_vectors_are_the_same_in_whatever_order_and_batches_documents_came(local: Rag, tmp_path: Path) -> None:
    documents = _with_notice(*range(9))
    _ingest(local, *documents)
    url = f"sqlite:///{tmp_path / 'other.db'}"
    database = Database(url)
    migrate.upgrade(database)
    database.dispose()
    with Rag(Settings(database_url=url, data_dir=tmp_path / "other")) as other:
        for document in reversed(documents):
            _ingest(other, document, file=document.source)
        one, two = _vectors(local), _vectors(other)
    assert one.keys() == two.keys()
    for source, (is_repeated, vector) in one.items():
        assert is_repeated == two[source][0]
        difference = np.frombuffer(vector, "<f2").astype(float) - np.frombuffer(two[source][1], "<f2").astype(float)
        assert np.abs(difference).max() < 2e-3


def test_rows_and_short_passages_keep_their_titles(local: Rag, embedded: list[str]) -> None:
    row = Section(start=0, end=len(NOTICE), row=1)
    _ingest(
        local,
        *(replace(_document(f"d{n}", NOTICE), sections=(row,)) for n in range(MIN_DOCUMENTS + 1)),
        labels=Labels(tags={}, deduplicate=False),
    )
    _ingest(local, *(_document(f"s{n}", "Total 5", _own(n)) for n in range(MIN_DOCUMENTS + 1)), file="short")
    assert f"Title d0\n{NOTICE}" in embedded
    assert "Title s5\nTotal 5" in embedded
    with local.database.read() as session:
        assert list_repeated(session, local.collection("default").id) == []


def test_removing_documents_leaves_the_notice_of_the_others_as_it_is(service: Rag, embedded: list[str]) -> None:
    _ingest(service, *_with_notice(*range(6)))
    before = _vectors(service)
    embedded.clear()
    for hit in service.search(_own(0), top_k=20):
        if hit.source in ("d0", "d1") and hit.page == 1:
            service.ingester.remove(hit.document_id)
    assert embedded == []
    after = _vectors(service)
    assert after == {source: one for source, one in before.items() if source not in ("d0", "d1")}
    assert len(after) == 4
    (hit,) = [hit for hit in service.search(NOTICE, top_k=20) if hit.text == NOTICE]
    assert {hit.source, *(other.source for other in hit.also_in)} == {"d2", "d3", "d4", "d5"}


def test_notice_is_one_hit_that_names_only_what_the_caller_may_see(service: Rag) -> None:
    _ingest(service, *_with_notice(0, 1, 2))
    _ingest(service, *_with_notice(3, 4, 5), labels=Labels(tags={}, access_labels=("hr",)), file="hr")
    for mode in ("hybrid", "keyword", "vector"):
        options = SearchOptions(mode=mode, rerank=False)
        for labels, wanted in (((), {0, 1, 2}), (("hr",), set(range(6))), (None, set(range(6)))):
            caller = Caller(access_labels=None if labels is None else frozenset(labels))
            hits = service.search(NOTICE, top_k=12, options=options, caller=caller)
            (hit,) = [hit for hit in hits if hit.text == NOTICE]
            assert {hit.source, *(other.source for other in hit.also_in)} == {f"d{number}" for number in wanted}


def test_copies_of_a_notice_do_not_take_the_places_of_other_hits(local: Rag) -> None:
    _ingest(local, *_with_notice(*range(60)))
    few = replace(VECTOR, candidates=10)
    hits = local.search(NOTICE, top_k=8, options=few)
    assert len(hits) == 8
    assert hits[0].text == NOTICE
    assert len({hit.text for hit in hits}) == 8
    assert len(hits[0].also_in) == 9


def test_new_generation_embeds_each_text_once(service: Rag, embedded: list[str]) -> None:
    _ingest(service, *_with_notice(*range(6)))
    with service.database.write() as session:
        session.execute(text("DELETE FROM passage_embeddings WHERE passage_id IN (SELECT id FROM passages)"))
        session.execute(text("DELETE FROM shared_vectors"))
        session.execute(text("UPDATE collections SET embedding_model = 'former'"))
        session.execute(text("UPDATE embedding_generations SET embedding_model = 'former'"))
    embedded.clear()
    done = service.reembed(service.embedders.default)
    assert (done.num_embedded, done.num_passages_reused) == (12, 5)
    assert [given for given in embedded if NOTICE in given] == [f"\n{NOTICE}"]


def test_documents_that_change_in_one_batch_count_once(local: Rag) -> None:
    _ingest(local, *_with_notice(*range(MIN_DOCUMENTS - 1)))
    changed = [_document(f"d{number}", _own(number + 50), NOTICE) for number in range(MIN_DOCUMENTS - 1)]
    assert _ingest(local, *changed).num_updated == MIN_DOCUMENTS - 1
    assert not any(is_repeated for is_repeated, _ in _vectors(local).values())


def test_vector_of_a_notice_is_near_that_of_its_words_under_their_title(local: Rag) -> None:
    _ingest(local, *(_document(f"d{n}", _own(n), NOTICE, title=f"Handbook of the {n}th team") for n in range(6)))
    whole = local.embedders.get(local.embedders.default).embed([f"Handbook of the 3th team\n{NOTICE}", NOTICE])
    vectors = {s: np.frombuffer(v, "<f2").astype(np.float32) for s, (_, v) in _vectors(local).items()}
    assert len({v.tobytes() for v in vectors.values()}) == 6
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-3 for vector in vectors.values())
    titled, bare = whole.astype(np.float32)
    assert vectors["d3"] @ titled > max(0.9, bare @ titled)
    assert max(vectors, key=lambda source: float(vectors[source] @ titled)) == "d3"
