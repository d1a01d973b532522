"""``rag evaluate qa``: ask the questions of a file in SQuAD format through the main path, and compare the answers."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rag.answerer import Answerer, AskOptions
from rag.evaluate.corpus import Corpus, sample_questions
from rag.evaluate.metrics import gold_rank, words_to_compare
from rag.evaluate.qa_metrics import figures_of_run
from rag.evaluate.resuming import Asking, interrupted_run, lock_of_run, run_to_resume
from rag.generators.generator import Generation
from rag.retriever import Retriever, SearchResult
from rag.store.answers import NewAnswer
from rag.store.database import Database
from rag.store.documents import get_document
from rag.store.evaluations import (
    Match,
    Measures,
    QuestionResult,
    add_results,
    count_results,
    finish_evaluation,
    ordinals_done,
    start_evaluation,
)
from rag.store.index_changes import last_change_id
from rag.text.normalize_answer import exact_match, f1
from rag.training.squad import SquadQuestion

NUM_RANKED = 10
"""Passages retrieved for the retrieval figures; the reader reads the first ``top_k`` of them."""


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


class QaEvaluation:
    """One evaluation over a corpus. Each question is logged as soon as it is answered, so a run can be gone on with."""

    def __init__(
        self, database: Database, retriever: Retriever, answerer: Answerer, corpus: Corpus, options: QaOptions
    ) -> None:
        """Raises InvalidInput when there is no question to ask."""
        self._database, self._retriever, self._answerer = database, retriever, answerer
        self._corpus, self._options = corpus, options
        self.questions = sample_questions(corpus.squad, limit=options.limit, seed=options.seed)

    def run(self, path: Path, *, on_question: Callable[[int], None], resume_id: int | None = None) -> dict[str, Any]:
        """Ask all questions, log the answers apart from those of people, and return the figures.

        ``resume_id`` is a run to go on with (see ``run_to_resume``); what it has asked is not asked again.

        Raises:
            Busy: another process is at work on that run.
            InvalidInput: that run cannot be gone on with.
        """
        run_id = self._start(path) if resume_id is None else resume_id
        with self._database.exclusive(lock_of_run(run_id), wait=False):
            run_to_resume(self._database, self.asking(path), run_id)  # another process may have finished it meanwhile
            with self._database.read() as session:
                done = ordinals_done(session, run_id)
            for ordinal, question in enumerate(self.questions, start=1):
                if ordinal not in done:
                    self._ask(run_id, ordinal, question)
                    on_question(ordinal)
            metrics = figures_of_run(self._database, run_id)
            with self._database.write() as session:
                finish_evaluation(session, run_id, metrics=metrics)
        return metrics

    def run_to_resume(self, path: Path, run_id: int | None) -> int:
        """The run to go on with: ``run_id``, or the newest that was interrupted. See ``rag.evaluate.resuming``."""
        return run_to_resume(self._database, self.asking(path), run_id)

    def interrupted_run(self, path: Path) -> int | None:
        """The newest run that could be gone on with; None where there is none."""
        return interrupted_run(self._database, self.asking(path))

    def num_done(self, run_id: int) -> int:
        """How many questions of a run have been answered."""
        with self._database.read() as session:
            return count_results(session, run_id)

    def asking(self, path: Path) -> Asking:
        """What this evaluation asks and how, as it is kept with its run."""
        return Asking(
            file=path.name,
            file_sha256=self._corpus.file_sha256,
            collection_id=self._corpus.collection.id,
            settings=self._settings,
        )

    @cached_property
    def _settings(self) -> dict[str, Any]:
        with self._database.read() as session:
            change_id = last_change_id(session, self._corpus.collection.id)
        return {
            **asdict(self._options),
            "embedding_model": self._corpus.collection.embedding_model,
            "index_change_id": change_id,
            **({} if self._options.gold_passage else self._retriever.conditions),
            **self._answerer.conditions,
        }

    def _start(self, path: Path) -> int:
        asking = self.asking(path)
        with self._database.write() as session:
            return start_evaluation(
                session,
                file=asking.file,
                file_sha256=asking.file_sha256,
                collection_id=asking.collection_id,
                settings=asking.settings,
            )

    def _ask(self, run_id: int, ordinal: int, question: SquadQuestion) -> None:
        """Answer a question and log the answer with its figures, both or neither."""
        options = AskOptions(
            top_k=self._options.top_k, filters={}, abstain=self._options.abstain, evaluation_run_id=run_id
        )
        found, rank = self._find(question)
        considered = self._answerer.consider(question.question, found, options=options)
        answer = self._answerer.to_log(considered)
        measures = self._measures(ordinal, question, answer, considered.generation)
        figures = measures.with_abstention if self._options.abstain else measures.always_answering
        with self._database.write() as session:
            result = QuestionResult(
                question_id=question.id,
                question=question.question,
                reference_answers=tuple(dict.fromkeys(text for text, _ in question.answers)),
                prediction=answer.answer,
                exact_match=figures.exact_match,
                f1=figures.f1,
                abstained=answer.abstained,
                answer_id=self._answerer.insert(session, answer),
                gold_rank=rank,
                measures=measures,
            )
            add_results(session, run_id, [self._answerer.mask.result(result)])

    def _find(self, question: SquadQuestion) -> tuple[SearchResult, int | None]:
        """What is to be read, and the rank of the gold document among what was retrieved."""
        gold = self._corpus.document_ids[question.paragraph]
        name, top_k = self._corpus.collection.name, self._options.top_k
        if self._options.gold_passage:
            return self._retriever.passages_of(question.question, collection=name, document_id=gold), None
        found = self._retriever.search(question.question, collection=name, top_k=max(NUM_RANKED, top_k))
        return replace(found, hits=found.hits[:top_k]), gold_rank(found.hits, gold)

    def _measures(self, ordinal: int, question: SquadQuestion, answer: NewAnswer, generation: Generation) -> Measures:
        references = [text for text, _ in question.answers]
        always, withheld = _match(words_to_compare(generation), references), _match("", references)
        gold = None if self._options.gold_passage else self._corpus.document_ids[question.paragraph]
        return Measures(
            ordinal=ordinal,
            article=self._corpus.squad.paragraphs[question.paragraph].title,
            model=answer.model,
            confidence=generation.confidence,
            abstention_score=generation.abstention_score,
            always_answering=always,
            with_abstention=withheld if self._answerer.would_abstain(generation) else always,
            withheld=withheld,
            reranked_gold_rank=gold_rank(answer.passages, gold),
            num_citations=len(answer.citations),
            num_verified_citations=self._count_verified(answer),
            timings_ms=answer.timings_ms,
        )

    def _count_verified(self, answer: NewAnswer) -> int:
        with self._database.read() as session:
            return sum(
                get_document(session, c.document_id, version=c.document_version).text[c.start : c.end] == c.quote
                for c in answer.citations
            )


def _match(words: str, references: list[str]) -> Match:
    return Match(exact_match(words, references), f1(words, references))
