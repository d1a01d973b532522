"""``rag evaluate retrieval``: how well each leg, their fusion and the reader's order find what was judged relevant."""

from collections.abc import Callable, Mapping, Sequence

from rag.evaluate.corpus import JudgedQuery
from rag.evaluate.metrics import latency_ms, ndcg, recall, retrieval_metrics
from rag.evaluate.qa import NUM_RANKED
from rag.records import Hit, SearchOptions
from rag.retriever import Retriever

NUM_PASSAGES = 50
"""Passages asked for: several may be of one document, and it is documents that are ranked."""
ARMS: Mapping[str, SearchOptions] = {
    "keyword": SearchOptions(mode="keyword", rerank=False),
    "vector": SearchOptions(mode="vector", rerank=False),
    "hybrid": SearchOptions(mode="hybrid", rerank=False),
    "reranked": SearchOptions(mode="hybrid", rerank=True),
}
"""What is compared."""


def evaluate_retrieval(
    retriever: Retriever,
    collection: str,
    queries: Sequence[JudgedQuery],
    *,
    on_query: Callable[[int], None],
    arms: Mapping[str, SearchOptions] = ARMS,
) -> dict[str, dict[str, object]]:
    """Search for every query in every way; the figures of each by its name.

    A document stands where its first passage does. nDCG and recall are means over the queries.
    """
    metrics: dict[str, dict[str, object]] = {}
    num_done = 0
    for name, options in arms.items():
        ranks, gains, recalls, timings = [], [], [], []
        for query in queries:
            found = retriever.search(query.text, collection=collection, top_k=NUM_PASSAGES, options=options)
            ranked = _documents(found.hits)
            ranks.append(next((i for i, one in enumerate(ranked, start=1) if one in query.grades), None))
            gains.append(ndcg(ranked, query.grades, k=NUM_RANKED))
            recalls.append(recall(ranked, query.grades, k=NUM_RANKED))
            timings.append(found.timings_ms)
            num_done += 1
            on_query(num_done)
        metrics[name] = {
            **retrieval_metrics(ranks),
            "ndcg_at_10": sum(gains) / len(gains),
            "recall_at_10": sum(recalls) / len(recalls),
            "num_queries": len(queries),
            "latency_ms": latency_ms(timings),
        }
    return metrics


def _documents(hits: Sequence[Hit]) -> list[int]:
    """The documents of hits in order, each once. Where the same words stand as well is part of the hit."""
    return list(dict.fromkeys(hit.document_id for hit in hits))
