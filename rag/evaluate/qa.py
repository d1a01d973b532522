"""``rag evaluate qa``: ask the questions of a file in SQuAD format through the main path, and compare the answers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rag.answerer import Answerer, AskOptions, Considered
from rag.evaluate.confidence_metrics import (
    Judged,
    auroc,
    calibration_by_halves,
    expected_calibration_error,
    reliability_bins,
    threshold_by_halves,
)
from rag.evaluate.corpus import Corpus, sample_questions
from rag.evaluate.metrics import gold_rank, latency_ms, retrieval_metrics
from rag.generators.generator import Generation
from rag.records import Answer
from rag.retriever import Retriever
from rag.store.database import Database
from rag.store.documents import get_document
from rag.store.evaluations import QuestionResult, add_results, finish_evaluation, start_evaluation
from rag.text.normalize_answer import exact_match, f1
from rag.training.calibration import RIGHT_F1
from rag.training.squad import SquadQuestion

NUM_RANKED = 10
"""Passages retrieved for the retrieval figures; the reader reads the first ``top_k`` of them."""
RESULTS_PER_COMMIT = 200
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class QaOptions:
    """How to evaluate.

    limit: ask only a sample of so many questions, drawn with ``seed``.
    gold_passage: read each question's own paragraph instead of retrieving.
    abstain: count withheld answers as empty ones in the main figures; else always answer.
    """

    top_k: int
    limit: int | None = None
    seed: int = 0
    gold_passage: bool = False
    abstain: bool = True


@dataclass(frozen=True, slots=True)
class _Outcome:
    considered: Considered
    answer: Answer
    gold_rank: int | None
    num_verified: int
    always: tuple[float, float]  # exact match and F1 when every question is answered
    shipped: tuple[float, float]  # the same when answers below the threshold are withheld
    withheld: tuple[float, float]  # the same when none is given: 1 where there is no answer


class QaEvaluation:
    """One evaluation over a corpus."""

    def __init__(
        self, database: Database, retriever: Retriever, answerer: Answerer, corpus: Corpus, options: QaOptions
    ) -> None:
        """Raises InvalidInput when there is no question to ask."""
        self._database, self._retriever, self._answerer = database, retriever, answerer
        self._corpus, self._options = corpus, options
        self.questions = sample_questions(corpus.squad, limit=options.limit, seed=options.seed)

    def run(self, path: Path, *, on_question: Callable[[int], None]) -> dict[str, Any]:
        """Ask all questions, log the answers apart from those of people, and return the figures."""
        with self._database.write() as session:
            run_id = start_evaluation(
                session,
                file=path.name,
                file_sha256=self._corpus.file_sha256,
                collection_id=self._corpus.collection.id,
                settings=asdict(self._options),
            )
        asking = AskOptions(
            top_k=self._options.top_k, filters={}, abstain=self._options.abstain, evaluation_run_id=run_id
        )
        outcomes: list[_Outcome] = []
        pending: list[QuestionResult] = []
        for number, question in enumerate(self.questions, start=1):
            outcome = self._ask(question, asking)
            outcomes.append(outcome)
            pending.append(_result(question, outcome, abstain=self._options.abstain))
            if len(pending) >= RESULTS_PER_COMMIT or number == len(self.questions):
                with self._database.write() as session:
                    add_results(session, run_id, pending)
                pending = []
            on_question(number)
        metrics = {"evaluation_run_id": run_id, **self._metrics(outcomes)}
        with self._database.write() as session:
            finish_evaluation(session, run_id, metrics=metrics)
        return metrics

    def _ask(self, question: SquadQuestion, asking: AskOptions) -> _Outcome:
        gold = self._corpus.document_ids[question.paragraph]
        name = self._corpus.collection.name
        if self._options.gold_passage:
            found = self._retriever.passages_of(question.question, collection=name, document_id=gold)
            rank = None
        else:
            num_ranked = max(NUM_RANKED, asking.top_k)
            found = self._retriever.search(question.question, collection=name, top_k=num_ranked)
            rank = gold_rank(found.hits, gold)
            found = replace(found, hits=found.hits[: asking.top_k])
        considered = self._answerer.consider(question.question, found, options=asking)
        answer = self._answerer.log(considered)
        references = [text for text, _ in question.answers]
        written = _words(considered.generation)
        always = (exact_match(written, references), f1(written, references))
        withheld = (exact_match("", references), f1("", references))
        return _Outcome(
            considered=considered,
            answer=answer,
            gold_rank=rank,
            num_verified=self._count_verified(answer),
            always=always,
            shipped=withheld if self._answerer.would_abstain(considered.generation) else always,
            withheld=withheld,
        )

    def _count_verified(self, answer: Answer) -> int:
        with self._database.read() as session:
            return sum(
                get_document(session, c.document_id, version=c.document_version).text[c.start : c.end] == c.quote
                for c in answer.citations
            )

    def _metrics(self, outcomes: Sequence[_Outcome]) -> dict[str, Any]:
        num = len(outcomes)
        always, shipped = _means([o.always for o in outcomes]), _means([o.shipped for o in outcomes])
        num_citations = sum(len(o.answer.citations) for o in outcomes)
        ranks = None if self._options.gold_passage else [o.gold_rank for o in outcomes]
        retrieval = dict.fromkeys(retrieval_metrics([])) if ranks is None else retrieval_metrics(ranks)
        reranked = None
        if ranks is not None:
            golds = [self._corpus.document_ids[q.paragraph] for q in self.questions]
            tops = [gold_rank(o.answer.passages, gold) for o, gold in zip(outcomes, golds, strict=True)]
            reranked = retrieval_metrics(tops)
        return {
            **(shipped if self._options.abstain else always),
            **retrieval,
            "abstained": sum(o.answer.abstained for o in outcomes) / num,
            "citations_verified": sum(o.num_verified for o in outcomes) / num_citations if num_citations else 1.0,
            "num_questions": num,
            "latency_ms": latency_ms(o.answer.timings_ms for o in outcomes),
            "always_answering": always,
            "with_abstention": shipped,
            "confidence": self._confidence(outcomes),
            "reranked": reranked,
            "model": outcomes[0].answer.model,
        }

    def _confidence(self, outcomes: Sequence[_Outcome]) -> dict[str, Any]:
        """How well the confidence tells right answers from wrong ones, and the abstention score questions without one.

        Over all answers, given or withheld.
        ``threshold_by_halves`` is there only where the file has questions without an answer.
        """
        confidences = [o.considered.generation.confidence for o in outcomes]
        answerable = [bool(q.answers) for q in self.questions]
        right = [can and o.always[1] >= RIGHT_F1 for can, o in zip(answerable, outcomes, strict=True)]
        bins = reliability_bins(confidences, right)
        judged = [
            Judged(
                group=self._corpus.squad.paragraphs[question.paragraph].title,
                abstention_score=outcome.considered.generation.abstention_score,
                exact_match=outcome.always[0],
                f1=outcome.always[1],
                withheld_exact_match=outcome.withheld[0],
                withheld_f1=outcome.withheld[1],
            )
            for question, outcome in zip(self.questions, outcomes, strict=True)
        ]
        return {
            "expected_calibration_error": expected_calibration_error(bins),
            "calibration_by_halves": calibration_by_halves(
                confidences, right, [one.group for one in judged], seed=self._options.seed
            ),
            "auroc_right": auroc(confidences, right),
            "auroc_answerable": auroc([one.abstention_score for one in judged], answerable),
            "threshold_by_halves": None if all(answerable) else threshold_by_halves(judged, seed=self._options.seed),
            "bins": [asdict(one) for one in bins],
        }


def _words(generation: Generation) -> str:
    """The answer without the citation marks that a language model's sentences end with."""
    return _MARK.sub("", generation.answer) if generation.confidence_kind == "support" else generation.answer


def _means(figures: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {
        "exact_match": sum(one[0] for one in figures) / len(figures),
        "f1": sum(one[1] for one in figures) / len(figures),
    }


def _result(question: SquadQuestion, outcome: _Outcome, *, abstain: bool) -> QuestionResult:
    figures = outcome.shipped if abstain else outcome.always
    return QuestionResult(
        question_id=question.id,
        question=question.question,
        reference_answers=tuple(dict.fromkeys(text for text, _ in question.answers)),
        prediction=outcome.answer.answer,
        exact_match=figures[0],
        f1=figures[1],
        abstained=outcome.answer.abstained,
        answer_id=outcome.answer.id,
        gold_rank=outcome.gold_rank,
    )
