"""Haystack as its documentation has hybrid search: a pipeline of both in-memory retrievers and a joiner of ranks."""

from pathlib import Path

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

from peer_systems.passages import read_passages
from peer_systems.system import Place, Vectors


class WithHaystack:
    """Its in-memory store is the one that comes with it; it is saved as JSON."""

    def __init__(self, place: Place) -> None:
        self._folder = place.folder
        model = {
            "model": str(place.model),
            "batch_size": place.batch_size,
            "normalize_embeddings": True,
            "progress_bar": False,
            "local_files_only": True,
        }
        self._document_embedder = SentenceTransformersDocumentEmbedder(**model)
        self._text_embedder = SentenceTransformersTextEmbedder(**model)

    def ingest(self, file: Path, vectors: Vectors | None) -> None:
        passages = read_passages(file)
        rows = [None] * len(passages) if vectors is None else vectors.tolist()
        documents = [
            Document(id=passage.id, content=passage.words, embedding=row)
            for passage, row in zip(passages, rows, strict=True)
        ]
        store = InMemoryDocumentStore()
        indexing = Pipeline()
        indexing.add_component("writer", DocumentWriter(store))
        if vectors is None:
            indexing.add_component("embedder", self._document_embedder)
            indexing.connect("embedder.documents", "writer.documents")
            indexing.run({"embedder": {"documents": documents}})
        else:
            indexing.run({"writer": {"documents": documents}})
        store.save_to_disk(str(self._folder / "store.json"))

    def open(self) -> None:
        store = InMemoryDocumentStore.load_from_disk(str(self._folder / "store.json"))
        self._searching = Pipeline()
        self._searching.add_component("text_embedder", self._text_embedder)
        self._searching.add_component("embedding_retriever", InMemoryEmbeddingRetriever(store))
        self._searching.add_component("bm25_retriever", InMemoryBM25Retriever(store))
        self._searching.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
        self._searching.connect("text_embedder.embedding", "embedding_retriever.query_embedding")
        self._searching.connect("embedding_retriever", "joiner")
        self._searching.connect("bm25_retriever", "joiner")

    def search(self, question: str, *, top_k: int) -> list[str]:
        found = self._searching.run(
            {
                "text_embedder": {"text": question},
                "embedding_retriever": {"top_k": top_k},
                "bm25_retriever": {"query": question, "top_k": top_k},
                "joiner": {"top_k": top_k},
            }
        )
        return [document.id for document in found["joiner"]["documents"]]

    def close(self) -> None:
        pass
