"""The same question again, while nothing that its answer depends on has changed: what is in the log already."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from rag.errors import NotFound
from rag.records import Answer, Caller
from rag.shared.answer_cache import AnswerCache
from rag.store.answer_links import AnswerLinks
from rag.store.answers import OWN_SCORER, LoggedAnswer, NewAnswer, get_answer
from rag.store.collections import get_collection
from rag.store.database import Database
from rag.store.index_changes import last_change_id

REPEATS = "repeats_answer_id"
"""The setting of a logged answer that names the one whose words it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with all that its answer depends on; ``key`` is a hash of that.

    change_id: the last change of the collection's index, as it was when the question came.
    """

    key: str
    question: str
    standalone_question: str | None
    collection_id: int
    change_id: int
    access_labels: frozenset[str] | None


class RepeatedAnswers:
    """Finds answers by what was asked. Safe to share between threads.

    The cache only proposes an id: the answer is read from the log, and must have been given to the same question, over
    the same state of the index, to somebody with the same access labels.
    """

    def __init__(self, database: Database, cache: AnswerCache | None) -> None:
        """Without a ``cache`` no answer is ever found."""
        self._database, self._cache = database, cache

    @property
    def is_on(self) -> bool:
        """Whether any answer can be found."""
        return self._cache is not None

    def asked(
        self,
        question: str,
        *,
        collection: str,
        caller: Caller,
        links: AnswerLinks,
        conditions: Mapping[str, object],
    ) -> Asked:
        """What is asked; ``conditions`` are models, settings and options, as JSON can hold them.

        Raises:
            NotFound: there is no such collection, or ``caller`` may not know of it.
        """
        with self._database.read() as session:
            found = get_collection(session, collection, caller=caller)
            change_id = last_change_id(session, found.id)
        labels = None if caller.access_labels is None else sorted(caller.access_labels)
        # The revision counts what the index does not see: labels of documents, say.
        state = [self._database.place, found.id, found.revision, change_id, found.embedding_model]
        everything = [state, question, links.standalone_question, labels, conditions]
        words = json.dumps(everything, sort_keys=True, default=str)
        return Asked(
            key=hashlib.sha256(words.encode()).hexdigest(),
            question=question,
            standalone_question=links.standalone_question,
            collection_id=found.id,
            change_id=change_id,
            access_labels=caller.access_labels,
        )

    def find(self, asked: Asked) -> LoggedAnswer | None:
        """The answer that was given to this before; None where there is none."""
        if self._cache is None:
            return None
        answer_id = self._cache.find(asked.key)
        logged = None if answer_id is None else self._read(answer_id)
        is_same = logged is not None and _is_answer_to(logged, asked)
        self._cache.count(found=is_same)
        return logged if is_same else None

    def keep(self, asked: Asked, answer: Answer, *, change_id: int) -> None:
        """Remember an answer that was read from the state ``change_id`` of the index.

        Not one over another state than was asked about, nor one that the log has in other words than were given.
        """
        if self._cache is not None and change_id == asked.change_id and not answer.masked:
            self._cache.keep(asked.key, answer.id)

    def _read(self, answer_id: int) -> LoggedAnswer | None:
        try:
            with self._database.read() as session:
                return get_answer(session, answer_id)
        except NotFound:  # taken out of the log since
            return None


def logged_again(
    before: LoggedAnswer, *, caller: Caller, links: AnswerLinks, timings_ms: Mapping[str, float]
) -> NewAnswer:
    """An answer to log anew, for another ``caller``, with the words, passages and scores that it had."""
    answer = before.answer
    return NewAnswer(
        collection_id=before.collection_id,
        question=answer.question,
        answer=answer.answer,
        abstained=answer.abstained,
        confidence=answer.confidence,
        citations=answer.citations,
        passages=answer.passages,
        scores=[score for score in before.scores if score.scorer == OWN_SCORER],
        timings_ms=timings_ms,
        model=answer.model,
        model_sha256=before.model_sha256,
        embedding_model=before.embedding_model,
        index_change_id=before.index_change_id,
        settings={**before.settings, REPEATS: answer.id},
        caller=caller,
        confidence_kind=answer.confidence_kind,
        spans=answer.spans,
        unsupported=answer.unsupported,
        notes=answer.notes,
        links=links,
    )


def _is_answer_to(logged: LoggedAnswer, asked: Asked) -> bool:
    answer = logged.answer
    return (
        answer.question == asked.question  # not so where it was anonymised
        and answer.standalone_question == asked.standalone_question
        and not answer.masked
        and logged.collection_id == asked.collection_id
        and logged.index_change_id == asked.change_id
        and logged.caller.access_labels == asked.access_labels
    )
