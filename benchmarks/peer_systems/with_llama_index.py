"""LlamaIndex as its documentation has hybrid search: a vector index and BM25 under a fusing retriever, by ranks."""

from pathlib import Path

import faiss
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever
from llama_index.vector_stores.faiss import FaissVectorStore

from peer_systems.passages import read_passages
from peer_systems.system import Place, Vectors


class WithLlamaIndex:
    """With its FAISS store, which is faster than the one that comes with it; no question is rewritten by a model."""

    def __init__(self, place: Place) -> None:
        self._folder = place.folder
        self._model = HuggingFaceEmbedding(
            model_name=str(place.model), embed_batch_size=place.batch_size, device="cpu", local_files_only=True
        )
        self._retriever: QueryFusionRetriever | None = None

    def ingest(self, file: Path, vectors: Vectors | None) -> None:
        nodes = [TextNode(id_=passage.id, text=passage.words) for passage in read_passages(file)]
        if vectors is not None:
            for node, row in zip(nodes, vectors, strict=True):
                node.embedding = row.tolist()
        dimension = len(self._model.get_text_embedding("dimension")) if vectors is None else vectors.shape[1]
        storage = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss_index=faiss.IndexFlatIP(dimension)))
        index = VectorStoreIndex(nodes, storage_context=storage, embed_model=self._model)
        index.storage_context.persist(str(self._folder / "index"))
        BM25Retriever.from_defaults(nodes=nodes).persist(str(self._folder / "bm25"))

    def open(self) -> None:
        folder = str(self._folder / "index")
        storage = StorageContext.from_defaults(
            vector_store=FaissVectorStore.from_persist_dir(folder), persist_dir=folder
        )
        self._index = load_index_from_storage(storage, embed_model=self._model)
        self._bm25 = BM25Retriever.from_persist_dir(str(self._folder / "bm25"))

    def search(self, question: str, *, top_k: int) -> list[str]:
        if self._retriever is None or self._retriever.similarity_top_k != top_k:
            self._bm25.similarity_top_k = top_k
            self._retriever = QueryFusionRetriever(
                [self._index.as_retriever(similarity_top_k=top_k), self._bm25],
                llm=MockLLM(),
                mode="reciprocal_rerank",
                similarity_top_k=top_k,
                num_queries=1,
                use_async=False,
            )
        return [hit.node.node_id for hit in self._retriever.retrieve(question)]

    def close(self) -> None:
        pass
