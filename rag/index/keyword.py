"""The keyword leg: BM25 (Robertson and Zaragoza, 2009) in a tantivy index with English stems and stop words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tantivy

from rag.errors import IndexDamaged

ANALYZER = "english"
WRITER_HEAP_BYTES = 50_000_000
"""Memory that tantivy may fill before it writes a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordEntry:
    """What the keyword index knows of a passage: ``context`` is its title and headings."""

    passage_id: int
    document_id: int
    context: str
    text: str


def _analyzer() -> tantivy.TextAnalyzer:
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(64))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stopword("english"))
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("passage_id", stored=True, indexed=True, fast=True)
    builder.add_unsigned_field("document_id", indexed=True, fast=True)
    builder.add_text_field("body", tokenizer_name=ANALYZER, index_option="freq")
    return builder.build()


class KeywordIndex:
    """A keyword index in a folder, or in memory when ``folder`` is None."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the index in ``folder``, or make an empty one there.

        Raises:
            IndexDamaged: the folder holds something else, or files are missing.
        """
        self._schema = _schema()
        try:
            if folder is None:
                self._index = tantivy.Index(self._schema)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                self._index = tantivy.Index(self._schema, path=str(folder))
        except ValueError as error:
            raise IndexDamaged(f"The keyword index in {folder} cannot be opened: {error}") from error
        self._analyzer = _analyzer()
        self._index.register_tokenizer(ANALYZER, self._analyzer)
        self._searcher = self._index.searcher()

    def __len__(self) -> int:
        return self._searcher.num_docs

    def apply(self, *, add: Iterable[KeywordEntry] = (), remove: Iterable[int] = ()) -> None:
        """Remove and add passages in one commit. Adding a passage that is there replaces it."""
        writer = self._index.writer(WRITER_HEAP_BYTES, 1)
        for passage_id in remove:
            writer.delete_documents_by_query(self._passage(passage_id))
        for entry in add:
            writer.delete_documents_by_query(self._passage(entry.passage_id))
            document = tantivy.Document()
            document.add_unsigned("passage_id", entry.passage_id)
            document.add_unsigned("document_id", entry.document_id)
            document.add_text("body", f"{entry.context}\n{entry.text}")
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def _passage(self, passage_id: int) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, "passage_id", passage_id)

    def search(self, query: str, *, limit: int, document_ids: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """The best ``limit`` passages as (passage id, BM25), best first; only of ``document_ids`` if given."""
        terms = dict.fromkeys(self._analyzer.analyze(query))
        if not terms or limit < 1:
            return []
        wanted = tantivy.Query.boolean_query(
            [
                (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "body", term, index_option="freq"))
                for term in terms
            ]
        )
        if document_ids is not None:
            allowed = tantivy.Query.term_set_query(self._schema, "document_id", list(document_ids))
            wanted = tantivy.Query.boolean_query(
                [
                    (tantivy.Occur.Must, wanted),
                    (tantivy.Occur.Must, tantivy.Query.const_score_query(allowed, 0.0)),
                ]
            )
        found = self._searcher.search(wanted, limit)
        ids = self._searcher.fast_field_values("passage_id", [address for _, address in found.hits])
        hits = [(int(passage_id or 0), float(score)) for passage_id, (score, _) in zip(ids, found.hits, strict=True)]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))
