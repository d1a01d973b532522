"""Asking a logged question again as it was asked then, and saying what is the same and what has changed since."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag.answerer import Answerer, AskOptions
from rag.records import OWNER, Caller, Citation, SearchOptions
from rag.retriever import Retriever
from rag.store.answer_links import AnswerLinks
from rag.store.answers import LoggedAnswer, NewAnswer, get_answer
from rag.store.database import Database

HARDWARE = ("processor", "num_threads", "reader_dtype", "generator_dtype")
"""Settings that the machine decides: they can change the last bits of every score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came out the second time; nothing of it is logged.

    same: the same words, withheld or not, with the same citations. same_passages: it was read from the same passages.
    changed: the conditions that differ, each as (then, now): models, the index's last change, settings, hardware.
    other_hardware: among them is what the machine decides, so that a different result need not be a fault.
    """

    answer_id: int
    same: bool
    same_passages: bool
    answer: str
    abstained: bool
    confidence: float
    confidence_difference: float
    changed: Mapping[str, tuple[Any, Any]]
    other_hardware: bool


def reproduce(
    database: Database, retriever: Retriever, answerer: Answerer, answer_id: int, *, caller: Caller = OWNER
) -> Reproduction:
    """Search, read and decide again, under the logged options and with the eyes of who asked then.

    Raises:
        NotFound: there is no such answer, or ``caller`` may not know of it.
    """
    with database.read() as session:
        then = get_answer(session, answer_id, caller=caller)
    asked = then.answer
    options = AskOptions(
        top_k=int(then.settings.get("top_k", len(asked.passages)) or 1),
        filters=then.settings.get("filters", {}),
        search=_search_options(then.settings),
        abstain=bool(then.settings.get("abstain", True)),
        caller=then.caller,
        links=AnswerLinks(standalone_question=asked.standalone_question),
    )
    found = retriever.search(
        asked.searched_question,
        collection=asked.collection,
        top_k=options.top_k,
        options=options.search,
        filters=options.filters,
        caller=options.caller,
    )
    now = answerer.to_log(answerer.consider(asked.question, found, options=options))
    changed = _changed(then, now)
    return Reproduction(
        answer_id=answer_id,
        same=(
            (asked.answer, asked.abstained) == (now.answer, now.abstained)
            and [_place(c) for c in asked.citations] == [_place(c) for c in now.citations]
        ),
        same_passages={hit.passage_id for hit in asked.passages} == {hit.passage_id for hit in now.passages},
        answer=now.answer,
        abstained=now.abstained,
        confidence=now.confidence,
        confidence_difference=now.confidence - asked.confidence,
        changed=changed,
        # What was not logged then cannot be told to differ.
        other_hardware=any(changed[name][0] is not None for name in HARDWARE if name in changed),
    )


def _search_options(settings: Mapping[str, Any]) -> SearchOptions:
    """How the answer's passages were searched; what its log does not say is as it was before that could be chosen."""
    return SearchOptions(
        mode=settings.get("mode", "hybrid"),
        fusion=settings.get("fusion", "convex"),
        keyword_weight=settings.get("keyword_weight"),
        candidates=settings.get("candidates", settings.get("num_candidates")),
        rerank=settings.get("rerank", False),
    )


def _changed(then: LoggedAnswer, now: NewAnswer) -> dict[str, tuple[Any, Any]]:
    conditions = {
        "model": (then.answer.model, now.model),
        "model_sha256": (then.model_sha256, now.model_sha256),
        "embedding_model": (then.embedding_model, now.embedding_model),
        "index_change_id": (then.index_change_id, now.index_change_id),
        **{name: (then.settings.get(name), now.settings.get(name)) for name in sorted({*then.settings, *now.settings})},
    }
    return {name: pair for name, pair in conditions.items() if pair[0] != pair[1]}


def _place(citation: Citation) -> tuple[int, int, int, int]:
    return citation.document_id, citation.document_version, citation.start, citation.end
