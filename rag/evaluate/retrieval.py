"""``rag evaluate retrieval``: how well each leg and their fusion find the gold paragraph of each question."""

from collections.abc import Callable, Sequence
from typing import get_args

from rag.evaluate.corpus import Corpus
from rag.evaluate.metrics import gold_rank, latency_ms, retrieval_metrics
from rag.evaluate.qa import NUM_RANKED
from rag.records import SearchMode
from rag.retriever import Retriever
from rag.training.squad import SquadQuestion


def evaluate_retrieval(
    retriever: Retriever, corpus: Corpus, questions: Sequence[SquadQuestion], *, on_question: Callable[[int], None]
) -> dict[str, dict[str, object]]:
    """Search for every question in every mode; the figures of each mode by its name."""
    metrics: dict[str, dict[str, object]] = {}
    num_done = 0
    for mode in get_args(SearchMode):
        ranks, timings = [], []
        for question in questions:
            found = retriever.search(question.question, collection=corpus.collection.name, top_k=NUM_RANKED, mode=mode)
            ranks.append(gold_rank(found.hits, corpus.document_ids[question.paragraph]))
            timings.append(found.timings_ms)
            num_done += 1
            on_question(num_done)
        metrics[mode] = {
            **retrieval_metrics(ranks),
            "num_questions": len(questions),
            "latency_ms": latency_ms(timings),
        }
    return metrics
