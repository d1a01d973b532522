"""``rag evaluate abstention``: questions that the documents answer against questions about something else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag.answerer import Answerer, AskOptions
from rag.evaluate.confidence_metrics import auroc, calibration_of_mix
from rag.evaluate.corpus import Corpus, sample_questions
from rag.evaluate.metrics import words_to_compare
from rag.retriever import Retriever
from rag.text.normalize_answer import f1
from rag.training.calibration import ASSUMED_UNANSWERABLE, RIGHT_F1
from rag.training.squad import load_squad


def evaluate_abstention(
    retriever: Retriever,
    answerer: Answerer,
    corpus: Corpus,
    other: Path,
    *,
    top_k: int,
    limit: int | None,
    seed: int,
    on_question: Callable[[int], None],
    share_unanswerable: float = ASSUMED_UNANSWERABLE,
) -> dict[str, Any]:
    """Ask ``limit`` questions of each file over the corpus; nothing is logged.

    The confidence is judged over both kinds together, weighted as in a stream of questions of which
    ``share_unanswerable`` are of the other file, which no answer to is right.

    Raises:
        InvalidInput: a file cannot be read, or holds no questions.
    """
    own = [q for q in sample_questions(corpus.squad, limit=limit, seed=seed) if q.answers]
    foreign = sample_questions(load_squad(other), limit=limit, seed=seed)
    asking = AskOptions(top_k=top_k, filters={})
    scores, withheld, confidences, right = [], [], [], []
    for number, question in enumerate([*own, *foreign], start=1):
        found = retriever.search(question.question, collection=corpus.collection.name, top_k=top_k)
        considered = answerer.consider(question.question, found, options=asking)
        scores.append(considered.generation.abstention_score)
        withheld.append(considered.abstained)
        confidences.append(considered.generation.confidence)
        references = [text for text, _ in question.answers]
        words = words_to_compare(considered.generation)
        right.append(number <= len(own) and f1(words, references) >= RIGHT_F1)
        on_question(number)
    answerable = [True] * len(own) + [False] * len(foreign)
    return {
        "auroc": auroc(scores, answerable),
        "withheld_answerable": sum(withheld[: len(own)]) / len(own) if own else None,
        "withheld_other": sum(withheld[len(own) :]) / len(foreign),
        "num_answerable": len(own),
        "num_other": len(foreign),
        "confidence": calibration_of_mix(confidences, right, answerable, share_unanswerable=share_unanswerable),
    }
