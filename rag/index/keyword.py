"""The keyword leg: BM25 (Robertson and Zaragoza, 2009) in a tantivy index with English stems and stop words."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import tantivy

from rag.errors import IndexDamaged
from rag.index.allowed_ids import AllowedIds

ANALYZER = "english"
MAX_LISTED = 20_000
"""Up to so many allowed passages are looked up one by one in the index."""
WRITER_HEAP_BYTES = 50_000_000
"""Memory that tantivy may fill before it writes a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordEntry:
    """What the keyword index knows of a passage: ``context`` is its title and headings."""

    passage_id: int
    context: str
    text: str


@cache
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


def stems(text: str) -> list[str]:
    """The words of a text as the keyword leg compares them: lower case, without accents, stop words and endings."""
    return list(_analyzer().analyze(text))


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("passage_id", stored=True, indexed=True, fast=True)
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
            document.add_text("body", f"{entry.context}\n{entry.text}")
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def _passage(self, passage_id: int) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, "passage_id", passage_id)

    def search(self, query: str, *, limit: int, allowed: AllowedIds | None = None) -> list[tuple[int, float]]:
        """The best ``limit`` passages as (passage id, BM25), best first; only of ``allowed`` if given.

        What is allowed changes no score: how rare a word is, is counted over all passages.
        """
        terms = dict.fromkeys(self._analyzer.analyze(query))
        limit = min(limit, len(self) if allowed is None else allowed.count)
        if not terms or limit < 1:
            return []
        wanted = tantivy.Query.boolean_query(
            [
                (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "body", term, index_option="freq"))
                for term in terms
            ]
        )
        if allowed is None:
            hits = self._best(wanted, limit)
        elif allowed.count <= MAX_LISTED:
            hits = self._best(self._among(wanted, allowed), limit)
        else:
            hits = self._best_allowed(wanted, limit, allowed)
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def _among(self, wanted: tantivy.Query, allowed: AllowedIds) -> tantivy.Query:
        listed = tantivy.Query.term_set_query(self._schema, "passage_id", allowed.ids.tolist())
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, tantivy.Query.const_score_query(listed, 0.0))]
        )

    def _best_allowed(self, wanted: tantivy.Query, limit: int, allowed: AllowedIds) -> list[tuple[int, float]]:
        """The best allowed passages, where so many are allowed that listing them takes longer than looking further.

        The list of hits is made longer until it holds ``limit`` allowed ones or everything that matches: the same
        hits as those of a search among the allowed alone.
        """
        asked = limit * -(-len(self) // allowed.count) * 2
        while True:
            found = self._best(wanted, asked)
            is_allowed = allowed.contain(np.fromiter((i for i, _ in found), dtype=np.int64, count=len(found)))
            hits = [hit for hit, kept in zip(found, is_allowed, strict=True) if kept]
            if len(hits) >= limit or len(found) < asked:
                return hits[:limit]
            asked *= 4

    def _best(self, wanted: tantivy.Query, limit: int) -> list[tuple[int, float]]:
        found = self._searcher.search(wanted, limit, count=False)
        ids = self._searcher.fast_field_values("passage_id", [address for _, address in found.hits])
        return [(int(passage_id or 0), float(score)) for passage_id, (score, _) in zip(ids, found.hits, strict=True)]
