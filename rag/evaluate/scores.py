"""``rag evaluate scores``: how well does each quality score of an answer tell right answers from wrong ones?

Every question is asked twice: over what the search finds, and over planted wrong passages, so that most answers are
wrong although they are copied to the letter. A score that only notices copying cannot tell the two apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.answerer import Answerer, AskOptions, Considered
from rag.evaluate.confidence_metrics import auroc
from rag.evaluate.corpus import Corpus, sample_questions
from rag.evaluate.metrics import words_to_compare
from rag.evaluate.significance import group_interval
from rag.records import Hit
from rag.retriever import Retriever
from rag.text.normalize_answer import f1
from rag.training.calibration import RIGHT_F1
from rag.training.squad import SquadQuestion
from rag.training.unanswerable import without_answer

MIN_AUROC = 0.6
"""A score that tells right from wrong answers worse than this is not worth keeping."""
_MOST_OF_PARAGRAPH = 8
"""Passages of a question's own paragraph that may have to be passed over."""


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer's scores by metric. ``question`` counts the questions; ``planted`` says over which passages."""

    question: int
    planted: bool
    right: bool
    scores: dict[str, float]


def evaluate_scores(
    retriever: Retriever,
    answerer: Answerer,
    corpus: Corpus,
    *,
    top_k: int,
    limit: int | None,
    seed: int,
    on_question: Callable[[int], None],
) -> dict[str, Any]:
    """Ask ``limit`` answerable questions, each twice; nothing is logged. Figures by metric.

    ``own_retrieval`` is the AUROC of right against wrong answers over what the search finds; ``planted`` that over
    all answers, those from planted passages included. Each has a 95% interval by a bootstrap over questions and is
    None where all answers are right, or none.

    Raises:
        InvalidInput: the file holds no questions.
    """
    answers: list[ScoredAnswer] = []
    asking = _Asking(retriever, answerer, corpus, top_k=top_k)
    questions = [q for q in sample_questions(corpus.squad, limit=limit, seed=seed) if q.answers]
    for number, question in enumerate(questions):
        answers += asking.ask(number, question)
        on_question(number + 1)
    own = [answer for answer in answers if not answer.planted]
    planted = [answer for answer in answers if answer.planted]
    metrics = sorted({metric for answer in answers for metric in answer.scores})
    return {
        "num_questions": len(questions),
        "right_own_retrieval": _share_right(own),
        "right_planted": _share_right(planted),
        "scores": {
            metric: {"own_retrieval": _figures(own, metric), "planted": _figures(answers, metric)} for metric in metrics
        },
    }


class _Asking:
    def __init__(self, retriever: Retriever, answerer: Answerer, corpus: Corpus, *, top_k: int) -> None:
        self._retriever, self._answerer, self._corpus, self._top_k = retriever, answerer, corpus, top_k
        self._options = AskOptions(top_k=top_k, filters={}, abstain=False)

    def ask(self, number: int, question: SquadQuestion) -> Iterator[ScoredAnswer]:
        """Over what is found, and over passages of which the right one is taken out or, by turns, emptied."""
        found = self._retriever.search(
            question.question, collection=self._corpus.collection.name, top_k=self._top_k + _MOST_OF_PARAGRAPH
        )
        gold = self._corpus.document_ids[question.paragraph]
        hits = found.hits[: self._top_k]
        swapped = [_emptied(hit, question) if hit.document_id == gold and number % 2 else hit for hit in found.hits]
        wrong = [hit for hit in swapped if hit is not None and (hit.document_id != gold or number % 2)]
        for planted, shown in ((False, hits), (True, wrong[: self._top_k])):
            considered = self._answerer.consider(
                question.question, replace(found, hits=tuple(shown)), options=self._options
            )
            if considered.generation.answer:
                yield _scored(number, question, considered, planted=planted)


def _emptied(hit: Hit, question: SquadQuestion) -> Hit | None:
    """The hit without the sentences that hold an answer; None where too little would be left."""
    text: str | None = hit.text
    for answer in {words for words, _ in question.answers}:
        if text is not None and answer.lower() in text.lower():
            text = without_answer(text, answer)
    return None if text is None else replace(hit, text=text)


def _scored(number: int, question: SquadQuestion, considered: Considered, *, planted: bool) -> ScoredAnswer:
    words = words_to_compare(considered.generation)
    return ScoredAnswer(
        question=number,
        planted=planted,
        right=f1(words, [text for text, _ in question.answers]) >= RIGHT_F1,
        scores={score.metric: score.value for score in considered.scores},
    )


def _share_right(answers: Sequence[ScoredAnswer]) -> float | None:
    return sum(answer.right for answer in answers) / len(answers) if answers else None


def _figures(answers: Sequence[ScoredAnswer], metric: str) -> dict[str, Any]:
    scored = [answer for answer in answers if metric in answer.scores]
    values = np.array([answer.scores[metric] for answer in scored])
    right = np.array([answer.right for answer in scored], dtype=bool)

    def of(places: NDArray[np.int64]) -> float | None:
        return auroc(values[places].tolist(), right[places].tolist())

    value = of(np.arange(len(scored)))
    interval = None if value is None else group_interval(of, [answer.question for answer in scored])
    low, high = interval or (None, None)
    return {"auroc": value, "low": low, "high": high, "num_answers": len(scored), "num_right": int(right.sum())}
