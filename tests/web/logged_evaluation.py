"""Evaluations for the pages to show, logged without asking anything."""

from collections.abc import Sequence

from rag.store.collections import get_or_create_collection
from rag.store.evaluations import QuestionResult, add_results, finish_evaluation, start_evaluation
from tests.web.conftest import Site


def log_evaluation(
    site: Site, f1s: Sequence[float], asked: str, *, top_k: int, file: str = "questions/handbook.json"
) -> int:
    """Log an evaluation whose questions were answered so well, and return its id.

    ``asked`` is whose rota the questions are about; its braces hold their number. Below 1, an answer says too much; at
    0, it was withheld.
    """
    with site.service.database.write() as session:
        collection = get_or_create_collection(session, "evaluation:handbook", embedding_model="model")
        run_id = start_evaluation(
            session, file=file, file_sha256=file, collection_id=collection.id, settings={"top_k": top_k}
        )
        results = [
            QuestionResult(
                question_id=str(number),
                question=f"{('Who', 'Which engineer')[number % 2]} keeps the rota of {asked.format(number)}?",
                reference_answers=("Elsa",),
                prediction="Elsa" if f1 == 1.0 else "Elsa Holm" if f1 else "",
                exact_match=float(f1 == 1.0),
                f1=f1,
                abstained=f1 == 0.0,
                gold_rank=1,
            )
            for number, f1 in enumerate(f1s)
        ]
        add_results(session, run_id, results)
        mean = sum(f1s) / len(f1s)
        metrics = {"num_questions": len(f1s), "f1": mean, "exact_match": mean, "latency_ms": {"total": {"p50": 90.0}}}
        finish_evaluation(session, run_id, metrics=metrics)
    return run_id
