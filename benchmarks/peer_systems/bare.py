"""The floor under this project: the same model, a FAISS index and a tantivy index, put together by hand.

No SQL, no texts, no titles of hits, no filters, no checks: a question is embedded, both indexes propose a hundred
passages, their scores are added as ``rag.index.fusion`` adds them, and ids come out.
"""

from pathlib import Path

import faiss
import numpy as np
import tantivy
import torch
from sentence_transformers import SentenceTransformer

from peer_systems.passages import read_passages
from peer_systems.system import Place, Vectors
from rag.transformer.processor import choose_dtype

CANDIDATES = 100
KEYWORD_WEIGHT = 0.4


class Bare:
    """See above."""

    def __init__(self, place: Place) -> None:
        self._folder, self._batch_size = place.folder, place.batch_size
        self._model = SentenceTransformer(
            str(place.model), device="cpu", model_kwargs={"dtype": choose_dtype(place.dtype)}
        )

    def _embed(self, texts: list[str]) -> Vectors:
        encoded = self._model.encode(
            texts, batch_size=self._batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        return torch.nn.functional.normalize(encoded.float(), dim=1).numpy()

    def ingest(self, file: Path, vectors: Vectors | None) -> None:
        (self._folder / "keyword").mkdir()
        passages = read_passages(file)
        embedded = self._embed([passage.words for passage in passages]) if vectors is None else np.asarray(vectors)
        index = faiss.IndexFlatIP(embedded.shape[1])
        index.add(np.ascontiguousarray(embedded))
        faiss.write_index(index, str(self._folder / "vectors.faiss"))
        writer = self._keyword_index().writer(50_000_000, 1)
        for row, passage in enumerate(passages):
            document = tantivy.Document()
            document.add_unsigned("row", row)
            document.add_text("body", passage.words)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        (self._folder / "ids.txt").write_text("\n".join(passage.id for passage in passages))

    def _keyword_index(self) -> tantivy.Index:
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("row", stored=True, fast=True)
        builder.add_text_field("body", tokenizer_name="english", index_option="freq")
        self._schema = builder.build()
        index = tantivy.Index(self._schema, path=str(self._folder / "keyword"))
        self._analyzer = (
            tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
            .filter(tantivy.Filter.lowercase())
            .filter(tantivy.Filter.stopword("english"))
            .filter(tantivy.Filter.stemmer("english"))
            .build()
        )
        index.register_tokenizer("english", self._analyzer)
        return index

    def open(self) -> None:
        self._vectors = faiss.read_index(str(self._folder / "vectors.faiss"))
        self._searcher = self._keyword_index().searcher()
        self._ids = (self._folder / "ids.txt").read_text().split("\n")

    def search(self, question: str, *, top_k: int) -> list[str]:
        cosines, rows = self._vectors.search(self._embed([question]), min(CANDIDATES, len(self._ids)))
        low, high = float(cosines[0, -1]), float(cosines[0, 0])
        scores = {
            row: (1 - KEYWORD_WEIGHT) * (cosine - low) / ((high - low) or 1.0)
            for row, cosine in zip(rows[0].tolist(), cosines[0].tolist(), strict=True)
        }
        terms = dict.fromkeys(self._analyzer.analyze(question))
        should = [(tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "body", term)) for term in terms]
        hits = self._searcher.search(tantivy.Query.boolean_query(should), CANDIDATES, count=False).hits
        found = self._searcher.fast_field_values("row", [address for _, address in hits])
        for row, (score, _) in zip(found, hits, strict=True):
            scores[row] = scores.get(row, 0.0) + KEYWORD_WEIGHT * score / hits[0][0]
        return [self._ids[row] for row in sorted(scores, key=lambda row: -scores[row])[:top_k]]

    def close(self) -> None:
        pass
