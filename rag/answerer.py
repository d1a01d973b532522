"""The main path: retrieve, generate, decide, score, log. Each step of ``Answerer.ask`` is one of the README's."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rag.answer_queue import AnswerQueue, Deadline
from rag.cancellation import NEVER, Cancellation
from rag.conversation import understand
from rag.errors import Busy, Cancelled, StoreUnavailable, TimeLimitExceeded
from rag.generators.generator import Generation, Generator
from rag.masking import LogMask, as_given
from rag.notes import language_notes
from rag.observer import NOBODY, Observer, Outcome
from rag.records import OWNER, Answer, Caller, Hit, SearchOptions, Turn
from rag.repeated_answers import Asked, RepeatedAnswers, logged_again
from rag.retriever import AS_SET, Retriever, SearchResult
from rag.scoring.scorer import Judged, Scorer
from rag.store.answer_links import UNLINKED, AnswerLinks
from rag.store.answers import OWN_SCORER, NewAnswer, Score, get_answer, insert_answer
from rag.store.database import Database, Session
from rag.store.filters import Filters, check_size
from rag.store.log_writer import LogWriter
from rag.text.language import LanguageDetector

log = logging.getLogger(__name__)

_GIVEN_UP: dict[type[Exception], Outcome] = {Busy: "busy", Cancelled: "cancelled", TimeLimitExceeded: "timed_out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """How a question is to be answered.

    abstain: withhold answers whose abstention score is below the threshold.
    caller: who asks; nothing is read that they may not see.
    evaluation_run_id: the evaluation that asks; its answers stay out of the review views.
    links: the conversation that the question goes on with, and the answer that it builds on.
    history: what was said before, where no conversation in the log holds it.
    cancellation: says when the answer is not wanted any more. Then it is neither given nor logged.
    """

    top_k: int
    filters: Filters
    search: SearchOptions = AS_SET
    abstain: bool = True
    caller: Caller = OWNER
    evaluation_run_id: int | None = None
    links: AnswerLinks = UNLINKED
    history: tuple[Turn, ...] = ()
    cancellation: Cancellation = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """An answer before it is logged; ``generation.answer`` is there also where it is to be withheld.

    ``question`` is as it was asked; ``options.links`` hold the form that was searched and read.
    """

    question: str
    found: SearchResult
    options: AskOptions
    generation: Generation
    abstained: bool
    hits: tuple[Hit, ...]
    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    timings_ms: Mapping[str, float]


class Answerer:
    """Answers questions and logs every one of them. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        retriever: Retriever,
        generator: Generator,
        scorers: Sequence[Scorer],
        languages: LanguageDetector,
        mask: LogMask,
        *,
        abstain_below: float | None,
        queue: AnswerQueue,
        log_writer: LogWriter,
        timeout_s: float,
        repeated: RepeatedAnswers,
        observer: Observer = NOBODY,
    ) -> None:
        """``abstain_below`` None takes the generator's own threshold; ``timeout_s`` is the longest for an answer."""
        self._observer = observer
        self._database, self._retriever, self._generator, self._scorers = database, retriever, generator, scorers
        self._languages, self.mask = languages, mask
        self._abstain_below = generator.abstain_below if abstain_below is None else abstain_below
        self.queue, self._log_writer, self._timeout_s = queue, log_writer, timeout_s
        self._repeated = repeated
        self._generating = threading.Lock() if generator.one_at_a_time else None

    def ask(
        self,
        question: str,
        *,
        collection: str,
        options: AskOptions,
        on_found: Callable[[Sequence[Hit]], object] = lambda _: None,
    ) -> Answer:
        """Answer a question from a collection; ``on_found`` gets the hits before they are read.

        Raises:
            InvalidInput: the question or an option is wrong; see ``Retriever.search``.
            NotFound: there is no such collection, conversation or answer to build on, or the caller may not know of it.
            Cancelled: the answer is not wanted any more.
            Busy: ``max_concurrent_answers`` questions are in work already, and too many wait or none ended in time.
            TimeLimitExceeded: it took longer than ``answer_timeout_s``; it is not logged.
            GeneratorUnavailable: the model that writes answers is on a server that does not answer.
            StoreUnavailable: the answer cannot be logged. An answer that is not logged is not given.
        """
        deadline = Deadline(self._timeout_s)
        with self._told_of_failures():
            options = self._understood(question, options)
            asked = self._asked(question, collection=collection, options=options)
            before = None if asked is None else self._repeated.find(asked)
            if before is not None:  # needs no place: there is nothing to work on
                on_found(before.answer.passages)
                options.cancellation.check()
                timings = {"total": deadline.elapsed_ms}
                return self._log(logged_again(before, caller=options.caller, links=options.links, timings_ms=timings))
            with self.queue.place(options.cancellation):
                deadline.check()
                found = self._search(question, collection=collection, options=options)
                options.cancellation.check()
                on_found(found.hits)
                answer = self.answer_from(question, found, options=options, deadline=deadline)
            if asked is not None:
                self._repeated.keep(asked, answer, change_id=found.change_id)
            return answer

    def answer_unlogged(self, question: str, *, collection: str, options: AskOptions) -> NewAnswer:
        """Answer as ``ask`` does, but log nothing; raises what that raises."""
        deadline = Deadline(self._timeout_s)
        with self.queue.place():
            deadline.check()
            found = self._search(question, collection=collection, options=options)
            return self.to_log(self.consider(question, found, options=options, deadline=deadline))

    def answer_from(
        self, question: str, found: SearchResult, *, options: AskOptions, deadline: Deadline | None = None
    ) -> Answer:
        """Answer a question from hits that are there already."""
        deadline = deadline or Deadline(self._timeout_s)
        considered = self.consider(question, found, options=options, deadline=deadline)
        deadline.check()
        return self.log(considered)

    def consider(
        self, question: str, found: SearchResult, *, options: AskOptions, deadline: Deadline | None = None
    ) -> Considered:
        """Generate, decide whether to abstain, and score; nothing is logged yet."""
        deadline = deadline or Deadline(math.inf)
        started = time.perf_counter()
        read_question = options.links.standalone_question or question
        with self._observer.step("generate"), self._generator_free(options.cancellation, deadline):
            deadline.check()
            generation = self._generator.generate(read_question, found.hits, cancellation=options.cancellation)
        generated = time.perf_counter()
        deadline.check()
        hits = _by_relevance(found.hits, generation)
        judged = Judged(
            question=read_question,
            embedding_model=found.collection.embedding_model,
            question_vector=found.vector,
            citations=generation.citations,
            confidence=generation.confidence,
            answerability=generation.answerability,
            faithfulness=generation.faithfulness,
            hits=hits,
        )
        with self._observer.step("score"):
            scores = self._score(judged)
        abstained = not generation.answer or (options.abstain and self.would_abstain(generation))
        notes = language_notes(self._languages, question, () if abstained else generation.citations, hits)
        scored = time.perf_counter()
        return Considered(
            question=question,
            found=found,
            options=options,
            generation=generation,
            abstained=abstained,
            hits=hits,
            scores=scores,
            notes=notes,
            timings_ms={
                **found.timings_ms,
                "read": (generated - started) * 1000,
                "score": (scored - generated) * 1000,
            },
        )

    @property
    def conditions(self) -> Mapping[str, object]:
        """What its answers depend on beside question, passages and options, by the names that the log has for it."""
        return {
            "model": self._generator.name,
            "model_sha256": self._generator.weights_sha256,
            "abstain_below": self._abstain_below,
            **self._generator.settings,
        }

    def check(self) -> None:
        """See whether the generator could answer now; raises GeneratorUnavailable where it could not."""
        self._languages.load()
        self._generator.check()

    def check_log(self) -> None:
        """See whether answers can be logged; raises StoreUnavailable while the logging of one hangs."""
        self._log_writer.check()

    def would_abstain(self, generation: Generation) -> bool:
        """Whether this answer is to be withheld where abstaining is on."""
        return not generation.answer or generation.abstention_score < self._abstain_below

    def log(self, considered: Considered) -> Answer:
        """Log an answer and return it, unmasked; one that is not wanted any more is not logged.

        Raises:
            StoreUnavailable: it cannot be logged. That is counted and told in the server's log as well.
        """
        considered.options.cancellation.check()
        return self._log(self.to_log(considered))

    def _log(self, new: NewAnswer) -> Answer:
        try:
            with self._observer.step("log"):
                logged = self._log_writer.write(lambda session: get_answer(session, self.insert(session, new)).answer)
        except StoreUnavailable as error:
            self._observer.ended("not_logged", {})
            log.error("An answer could not be logged and is not given: %s", error)
            raise
        self._observer.ended("abstained" if logged.abstained else "answered", logged.timings_ms)
        return as_given(logged, new)

    def insert(self, session: Session, new: NewAnswer) -> int:
        """Log an answer, masked as the settings say, and return its id. Nothing is logged by another way."""
        return insert_answer(session, self.mask.answer(new))

    def to_log(self, considered: Considered) -> NewAnswer:
        """What is logged of an answer, not masked yet. A withheld one is empty, with all its passages."""
        generation, found, options = considered.generation, considered.found, considered.options
        return NewAnswer(
            collection_id=found.collection.id,
            question=considered.question,
            answer="" if considered.abstained else generation.answer,
            abstained=considered.abstained,
            confidence=generation.confidence,
            citations=() if considered.abstained else generation.citations,
            passages=considered.hits,
            scores=considered.scores,
            model=generation.model or self._generator.name,
            model_sha256=self._generator.weights_sha256,
            embedding_model=found.collection.embedding_model,
            index_change_id=found.change_id,
            settings={
                "top_k": options.top_k,
                "filters": dict(options.filters),
                "abstain": options.abstain,
                "abstain_below": self._abstain_below,
                **found.settings,
                **self._generator.settings,
                **generation.details,
            },
            confidence_kind=generation.confidence_kind,
            spans=() if considered.abstained else generation.spans,
            unsupported=() if considered.abstained else generation.unsupported,
            notes=considered.notes,
            timings_ms={**considered.timings_ms, "total": sum(considered.timings_ms.values())},
            caller=options.caller,
            evaluation_run_id=options.evaluation_run_id,
            links=options.links,
        )

    def _asked(self, question: str, *, collection: str, options: AskOptions) -> Asked | None:
        """What is asked, where the answer to it may be one that was given before."""
        if not self._repeated.is_on or options.evaluation_run_id is not None:
            return None
        check_size(options.filters)  # before it is written as JSON, which goes as deep as it does
        return self._repeated.asked(
            question,
            collection=collection,
            caller=options.caller,
            links=options.links,
            conditions={
                "top_k": options.top_k,
                "filters": options.filters,
                "abstain": options.abstain,
                **self.conditions,
                **self._retriever.conditions_with(options.search),
                "scorers": {scorer.metric: scorer.version for scorer in self._scorers},
            },
        )

    def _search(self, question: str, *, collection: str, options: AskOptions) -> SearchResult:
        with self._observer.step("retrieve"):
            return self._retriever.search(
                options.links.standalone_question or question,
                collection=collection,
                top_k=options.top_k,
                options=options.search,
                filters=options.filters,
                caller=options.caller,
            )

    def _understood(self, question: str, options: AskOptions) -> AskOptions:
        """The options with the form of the question that stands by itself."""
        links = understand(
            self._database,
            question,
            options.links,
            history=options.history,
            caller=options.caller,
            max_chars=self._retriever.max_question_chars,
        )
        return replace(options, links=links)

    @contextmanager
    def _generator_free(self, cancellation: Cancellation, deadline: Deadline) -> Iterator[None]:
        """Wait for the generator where it takes one question at a time, as long as the answer is wanted and in time."""
        if self._generating is None:
            yield
            return
        with cancellation.holding(self._generating, also=deadline.check):
            yield

    def _score(self, judged: Judged) -> tuple[Score, ...]:
        values = [(scorer, scorer.score(judged)) for scorer in self._scorers]
        return tuple(
            Score(metric=scorer.metric, value=value, scorer=OWN_SCORER, scorer_version=scorer.version)
            for scorer, value in values
            if value is not None
        )

    @contextmanager
    def _told_of_failures(self) -> Iterator[None]:
        """Tell the observer of a question that is given up."""
        try:
            yield
        except (Busy, Cancelled, TimeLimitExceeded) as error:
            self._observer.ended(_GIVEN_UP[type(error)], {})
            raise


def _by_relevance(hits: Sequence[Hit], generation: Generation) -> tuple[Hit, ...]:
    """The hits that were read, with their relevance and most relevant first where the generator judged it."""
    if generation.relevance is None:
        return tuple(hits[: generation.num_read])
    judged = [
        replace(hit, scores=replace(hit.scores, relevance=relevance))
        for hit, relevance in zip(hits, generation.relevance, strict=True)
    ]
    return tuple(sorted(judged, key=lambda hit: -(hit.scores.relevance or 0.0)))
