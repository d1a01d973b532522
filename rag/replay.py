"""Asking a logged question again as it was asked then: the same words, or what is different now and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from rag.answerer import Answerer, AskOptions
from rag.errors import InvalidInput
from rag.records import OWNER, Answer, Caller, Citation, Hit, SearchOptions
from rag.repeated_answers import REPEATS
from rag.store.answer_links import AnswerLinks
from rag.store.answers import LoggedAnswer, NewAnswer, get_answer
from rag.store.database import Database
from rag.store.source_states import SourceState, source_states

HARDWARE = ("processor", "num_threads", "query_weights", "reader_dtype", "generator_dtype")
"""Settings that the machine decides: they can change the last bits of every score."""
_ASKED_WITH = ("question", "standalone_question", "filters")
"""What of an answer's log is asked with again."""
_MODELS = ("model", "model_sha256", "embedding_model")
_STATE_WORDS: Mapping[SourceState, str] = {
    "changed": "has another version now",
    "deleted": "has been deleted",
    "erased": "has been erased",
    "closed": "is not open to who asked any more",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WordChange:
    """A run of words of the two answers: kept, or only in the one then (removed), or only in the one now (added)."""

    change: Literal["kept", "removed", "added"]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LostPassage:
    """A passage that was read then and is not now, and what has become of its document."""

    hit: Hit
    source_state: SourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came out the second time; nothing of it is logged.

    same: the same words, withheld or not, with the same citations. same_passages: read from the same passages.
    answer_then, abstained_then, confidence_then: as logged. word_changes: from the words then to those now.
    passages_entered, passages_left: what was read now only, and then only.
    changed: the conditions that differ, each as (then, now): models, the index's last change, settings, hardware.
    other_hardware: among them is what the machine decides, so that a different result need not be a fault.
    reasons: what differs, one sentence each, the likeliest reason first; also where the words came out the same.
    """

    answer_id: int
    question: str
    same: bool
    same_passages: bool
    answer_then: str
    answer: str
    abstained_then: bool
    abstained: bool
    confidence_then: float
    confidence: float
    word_changes: tuple[WordChange, ...]
    passages_entered: tuple[Hit, ...]
    passages_left: tuple[LostPassage, ...]
    changed: Mapping[str, tuple[Any, Any]]
    other_hardware: bool
    reasons: tuple[str, ...]


def replay(database: Database, answerer: Answerer, answer_id: int, *, caller: Caller = OWNER) -> Replay:
    """Search, read and decide again, under the logged options and with the eyes of who asked then.

    Where personal data was masked in the log, it is masked in the new answer too before the two are compared.

    Raises:
        NotFound: there is no such answer, or ``caller`` may not know of it.
        InvalidInput: it was anonymised, so that there is no question to ask.
        Busy, GeneratorUnavailable: as in ``Answerer.ask``.
    """
    with database.read() as session:
        then = get_answer(session, answer_id, caller=caller)
        versions = {(hit.document_id, hit.document_version) for hit in then.answer.passages}
        states = source_states(session, versions, caller=then.caller)
    asked = then.answer
    if not asked.question:
        raise InvalidInput(f"Answer {answer_id} was anonymised: its question is gone, and cannot be asked again.")
    now = answerer.answer_unlogged(asked.question, collection=asked.collection, options=_options(then))
    if asked.masked:
        now = answerer.mask.answer(now)
    read_then, read_now = {_place(hit) for hit in asked.passages}, {_place(hit) for hit in now.passages}
    same = (asked.answer, asked.abstained, [_place(c) for c in asked.citations]) == (
        now.answer,
        now.abstained,
        [_place(c) for c in now.citations],
    )
    changed = _changed(then, now)
    return Replay(
        answer_id=answer_id,
        question=asked.question,
        same=same,
        same_passages=read_then == read_now,
        answer_then=asked.answer,
        answer=now.answer,
        abstained_then=asked.abstained,
        abstained=now.abstained,
        confidence_then=asked.confidence,
        confidence=now.confidence,
        word_changes=tuple(_word_changes(asked.answer, now.answer)),
        passages_entered=tuple(hit for hit in now.passages if _place(hit) not in read_then),
        passages_left=tuple(
            LostPassage(hit=hit, source_state=states[hit.document_id, hit.document_version])
            for hit in asked.passages
            if _place(hit) not in read_now
        ),
        changed=changed,
        # What was not logged then cannot be told to differ.
        other_hardware=any(changed[name][0] is not None for name in HARDWARE if name in changed),
        reasons=(*_of_masking(asked), *_reasons(asked.passages, states, changed, same=same)),
    )


def _options(then: LoggedAnswer) -> AskOptions:
    settings = then.settings
    return AskOptions(
        top_k=int(settings.get("top_k", len(then.answer.passages)) or 1),
        filters=settings.get("filters", {}),
        # What its log does not say is as it was before that could be chosen.
        search=SearchOptions(
            mode=settings.get("mode", "hybrid"),
            fusion=settings.get("fusion", "convex"),
            keyword_weight=settings.get("keyword_weight", 0.4),
            candidates=settings.get("candidates", settings.get("num_candidates")),
            rerank=settings.get("rerank", False),
        ),
        abstain=bool(settings.get("abstain", True)),
        caller=then.caller,
        links=AnswerLinks(standalone_question=then.answer.standalone_question),
    )


def _changed(then: LoggedAnswer, now: NewAnswer) -> dict[str, tuple[Any, Any]]:
    settings = {*then.settings, *now.settings} - {REPEATS}
    conditions = {
        "model": (then.answer.model, now.model),
        "model_sha256": (then.model_sha256, now.model_sha256),
        "embedding_model": (then.embedding_model, now.embedding_model),
        "index_change_id": (then.index_change_id, now.index_change_id),
        **{name: (then.settings.get(name), now.settings.get(name)) for name in sorted(settings)},
    }
    return {name: pair for name, pair in conditions.items() if pair[0] != pair[1]}


def _of_masking(asked: Answer) -> Iterator[str]:
    of_question = [name.replace("_", " ") for name in asked.masked if name in _ASKED_WITH]
    if of_question:
        yield (
            f"Personal data was masked in what is logged ({', '.join(of_question)}), so what was asked now is not what "
            "was asked then: another result is no fault."
        )
    elif asked.masked:
        yield "Personal data was masked in the log, and is masked in the new answer as the settings say now."


def _reasons(
    passages: Sequence[Hit],
    states: Mapping[tuple[int, int], SourceState],
    changed: Mapping[str, tuple[Any, Any]],
    *,
    same: bool,
) -> Iterator[str]:
    titles = {(hit.document_id, hit.document_version): hit.title for hit in passages}
    for (document_id, version), title in titles.items():
        state = states[document_id, version]
        if state != "unchanged":
            named = "" if state == "erased" or not title else f" ({title})"
            yield f"Document {document_id}{named}, which was read then, {_STATE_WORDS[state]}."
    for name in _MODELS:
        if name in changed and not (name == "model_sha256" and "model" in changed):
            yield f"The {name} was {_shown(changed[name][0])} and is {_shown(changed[name][1])} now."
    if "index_change_id" in changed:
        then, now = changed["index_change_id"]
        yield f"The collection has changed since: the index stood at change {then}, and stands at {now} now."
    for name in changed:
        if name not in (*_MODELS, "index_change_id", *HARDWARE):
            yield f"The setting {name} was {_shown(changed[name][0])} and is {_shown(changed[name][1])} now."
    for name in HARDWARE:
        if name in changed and changed[name][0] is not None:
            then, now = changed[name]
            yield f"The machine computes otherwise: {name} was {_shown(then)} and is {_shown(now)} now."
    if not changed and not same:
        yield "Nothing that is logged has changed; a model that draws its words at random can answer otherwise."


def _shown(value: object) -> str:
    return "not set" if value in (None, "") else str(value)


def _word_changes(then: str, now: str) -> Iterator[WordChange]:
    """A word diff by longest matching runs (``difflib``, after Ratcliff and Metzener, 1988)."""
    old, new = then.split(), now.split()
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield WordChange(change="kept", words=" ".join(old[a:b]))
            continue
        if b > a:
            yield WordChange(change="removed", words=" ".join(old[a:b]))
        if d > c:
            yield WordChange(change="added", words=" ".join(new[c:d]))


def _place(found: Citation | Hit) -> tuple[int, int, int, int]:
    return found.document_id, found.document_version, found.start, found.end
