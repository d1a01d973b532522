"""The answer log: every answer with the passages that were read, its citations, scores and feedback."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import OWNER, Answer, AnswerSpan, Caller, Citation, ConfidenceKind, DocumentReference, Hit, HitScores
from rag.store import tables
from rag.store.access import answers_open_to, asker_of, put_asker
from rag.store.answer_links import UNLINKED, AnswerLinks, link_values, put_context
from rag.store.answer_trace import TRACE, trace_fields, trace_values
from rag.store.datasets import dataset_held
from rag.store.document_values import checked_origin

TIMINGS = ("embed", "retrieve", "rerank", "read", "score", "total")
"""The stages whose milliseconds are logged, in columns of that name with ``_ms``."""


OWN_SCORER = "rag"
"""The scorer of the scores that every answer gets when it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One quality score of an answer. A new version of a scorer adds scores, it does not replace the old ones."""

    metric: str
    value: float
    scorer: str
    scorer_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a person said of an answer: ``rating`` is 1 for good and -1 for bad.

    ``is_review``: a reviewer's judgement, not the thumb of whoever asked. ``wrong_passage_id``: of the passages that
    were read, one that should not have been.
    """

    id: int
    answer_id: int
    rating: int
    comment: str | None
    corrected_answer: str | None
    wrong_passage_id: int | None
    is_review: bool
    user_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer before it is logged: what people see of it, and what is needed to run it again.

    ``index_change_id`` is the last change that the index had seen. ``settings`` holds what shaped the answer (top_k,
    filters, thresholds, number types). ``timings_ms`` is keyed by ``TIMINGS``; a stage that did not run is left out.
    ``caller`` is who asked: with their eyes it was searched. ``masked`` says what was masked in which field.
    """

    collection_id: int
    question: str
    answer: str
    abstained: bool
    confidence: float
    citations: Sequence[Citation]
    passages: Sequence[Hit]
    scores: Sequence[Score]
    timings_ms: Mapping[str, float]
    model: str
    model_sha256: str | None
    embedding_model: str
    index_change_id: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    caller: Caller = OWNER
    evaluation_run_id: int | None = None
    confidence_kind: ConfidenceKind = "probability"
    spans: Sequence[AnswerSpan] = ()
    unsupported: Sequence[tuple[int, int]] = ()
    notes: Sequence[str] = ()
    links: AnswerLinks = UNLINKED
    masked: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAnswer:
    """Everything that is known of an answer. ``answer.scores`` holds the last value of each metric.

    ``dataset`` is the name of the dataset that was just what the collection held, if there was one. ``user_id`` is who
    asked, None where that is not known.
    """

    answer: Answer
    collection_id: int
    model_sha256: str | None
    embedding_model: str
    index_change_id: int
    settings: Mapping[str, Any]
    caller: Caller
    dataset_id: int | None
    dataset: str | None
    evaluation_run_id: int | None
    user_id: str | None
    scores: tuple[Score, ...]
    feedback: tuple[Feedback, ...]


def insert_answer(session: Session, new: NewAnswer) -> int:
    """Log an answer with its passages, citations and scores, and return its id.

    Where the newest dataset of its collection is just what the collection holds, the answer is logged with it. A
    document that changes while the answer is being made leaves it without one.
    """
    unknown = set(new.timings_ms) - set(TIMINGS)
    if unknown:
        raise ValueError(f"unknown timings: {', '.join(sorted(unknown))}")
    now = datetime.now(UTC)
    row = tables.Answer(
        collection_id=new.collection_id,
        question=new.question,
        answer=new.answer,
        abstained=new.abstained,
        confidence=new.confidence,
        model=new.model,
        model_sha256=new.model_sha256 or None,
        embedding_model=new.embedding_model,
        index_change_id=new.index_change_id,
        settings={
            **new.settings,
            TRACE: trace_values(
                confidence_kind=new.confidence_kind,
                spans=new.spans,
                unsupported=new.unsupported,
                notes=new.notes,
                masked=new.masked,
            ),
        },
        dataset_id=dataset_held(session, new.collection_id, index_change_id=new.index_change_id),
        evaluation_run_id=new.evaluation_run_id,
        user_id=new.caller.user_id,
        created_at=now,
        **link_values(session, new.links, collection_id=new.collection_id, caller=new.caller, created_at=now),
        **{f"{stage}_ms": new.timings_ms.get(stage) for stage in TIMINGS},
    )
    session.add(row)
    session.flush()
    put_asker(session, row.id, new.caller)
    put_context(session, row.id, new.links)
    passages = [_passage_values(row.id, rank, hit) for rank, hit in enumerate(new.passages, start=1)]
    citations = [_citation_values(row.id, ordinal, citation) for ordinal, citation in enumerate(new.citations, start=1)]
    scores = [{"answer_id": row.id, "created_at": now, **asdict(score)} for score in new.scores]
    for table, rows in ((tables.AnswerPassage, passages), (tables.Citation, citations), (tables.AnswerScore, scores)):
        if rows:
            session.execute(insert(table), rows)
    return row.id


def get_answer(session: Session, answer_id: int, *, caller: Caller = OWNER) -> LoggedAnswer:
    """Everything that was logged of an answer, with the feedback since.

    Raises:
        NotFound: there is no such answer, or ``caller`` may not know of it.
    """
    found = session.execute(
        select(tables.Answer, tables.Collection.name, tables.Dataset.name)
        .join(tables.Collection, tables.Collection.id == tables.Answer.collection_id)
        .outerjoin(tables.Dataset, tables.Dataset.id == tables.Answer.dataset_id)
        .where(tables.Answer.id == answer_id, *answers_open_to(caller, tables.Answer.id))
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no answer {answer_id}.")
    row, collection, dataset = found
    scores = _scores(session, answer_id)
    return LoggedAnswer(
        answer=Answer(
            id=row.id,
            question=row.question,
            collection=collection,
            answer=row.answer,
            abstained=row.abstained,
            confidence=row.confidence,
            citations=_citations(session, answer_id),
            passages=_passages(session, answer_id),
            scores={score.metric: score.value for score in scores},
            timings_ms=_timings(row),
            model=row.model,
            created_at=row.created_at,
            standalone_question=row.standalone_question,
            conversation_id=row.conversation_id,
            previous_answer_id=row.previous_answer_id,
            based_on_answer_id=row.based_on_answer_id,
            **trace_fields(row.settings.get(TRACE, {})),
        ),
        collection_id=row.collection_id,
        model_sha256=row.model_sha256,
        embedding_model=row.embedding_model,
        index_change_id=row.index_change_id,
        settings={name: value for name, value in row.settings.items() if name != TRACE},
        caller=replace(asker_of(session, answer_id), user_id=row.user_id),
        dataset_id=row.dataset_id,
        dataset=dataset,
        evaluation_run_id=row.evaluation_run_id,
        user_id=row.user_id,
        scores=scores,
        feedback=_feedback(session, answer_id),
    )


def add_feedback(
    session: Session,
    answer_id: int,
    *,
    rating: int,
    comment: str | None = None,
    corrected_answer: str | None = None,
    wrong_passage_id: int | None = None,
    is_review: bool = False,
    user_id: str | None = None,
    caller: Caller = OWNER,
) -> int:
    """Log what a person says of an answer, and return the feedback's id. See ``Feedback``.

    Raises:
        InvalidInput: the rating is neither 1 nor -1, or the answer was not read from the passage.
        NotFound: there is no such answer, or ``caller`` may not know of it.
    """
    if rating not in (-1, 1):
        raise InvalidInput(f"The rating must be 1 (good) or -1 (bad), not {rating}.")
    open_to_caller = answers_open_to(caller, tables.Answer.id)
    if session.scalar(select(tables.Answer.id).where(tables.Answer.id == answer_id, *open_to_caller)) is None:
        raise NotFound(f"There is no answer {answer_id}.")
    if wrong_passage_id is not None:
        _require_passage(session, answer_id, wrong_passage_id)
    row = tables.Feedback(
        answer_id=answer_id,
        rating=rating,
        comment=comment,
        corrected_answer=corrected_answer,
        wrong_passage_id=wrong_passage_id,
        is_review=is_review,
        user_id=user_id,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return row.id


def _require_passage(session: Session, answer_id: int, passage_id: int) -> None:
    shown = select(tables.AnswerPassage.passage_id).where(tables.AnswerPassage.answer_id == answer_id)
    if passage_id not in set(session.scalars(shown)):
        raise InvalidInput(f"Answer {answer_id} was not read from passage {passage_id}; name one of its passages.")


def _passage_values(answer_id: int, rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "answer_id": answer_id,
        "rank": rank,
        "passage_id": hit.passage_id,
        "document_id": hit.document_id,
        "document_version": hit.document_version,
        "title": hit.title,
        "source": hit.source,
        "origin": hit.origin,
        "headings": list(hit.headings),
        "page": hit.page,
        "row": hit.row,
        "start_char": hit.start,
        "end_char": hit.end,
        "text": hit.text,
        "keyword_score": hit.scores.keyword,
        "vector_score": hit.scores.vector,
        "fused_score": hit.scores.fused,
        "relevance_score": hit.scores.relevance,
        "keyword_rank": hit.scores.keyword_rank,
        "vector_rank": hit.scores.vector_rank,
        "near_duplicate_of": hit.near_duplicate_of,
        "also_in": [asdict(other) for other in hit.also_in],
    }


def _citation_values(answer_id: int, ordinal: int, citation: Citation) -> dict[str, Any]:
    return {
        "answer_id": answer_id,
        "ordinal": ordinal,
        "passage_id": citation.passage_id,
        "document_id": citation.document_id,
        "document_version": citation.document_version,
        "title": citation.title,
        "source": citation.source,
        "origin": citation.origin,
        "page": citation.page,
        "row": citation.row,
        "start_char": citation.start,
        "end_char": citation.end,
        "quote": citation.quote,
    }


def _passages(session: Session, answer_id: int) -> tuple[Hit, ...]:
    statement = (
        select(tables.AnswerPassage)
        .where(tables.AnswerPassage.answer_id == answer_id)
        .order_by(tables.AnswerPassage.rank)
    )
    return tuple(
        Hit(
            passage_id=row.passage_id,
            document_id=row.document_id,
            document_version=row.document_version,
            title=row.title,
            source=row.source,
            origin=checked_origin(row.origin),
            headings=tuple(row.headings),
            page=row.page,
            row=row.row,
            start=row.start_char,
            end=row.end_char,
            text=row.text,
            scores=HitScores(
                keyword=row.keyword_score,
                vector=row.vector_score,
                fused=row.fused_score,
                relevance=row.relevance_score,
                keyword_rank=row.keyword_rank,
                vector_rank=row.vector_rank,
            ),
            near_duplicate_of=row.near_duplicate_of,
            also_in=tuple(DocumentReference(**{"origin": None, **other}) for other in row.also_in),
        )
        for row in session.scalars(statement)
    )


def _citations(session: Session, answer_id: int) -> tuple[Citation, ...]:
    statement = select(tables.Citation).where(tables.Citation.answer_id == answer_id).order_by(tables.Citation.ordinal)
    return tuple(
        Citation(
            passage_id=row.passage_id,
            document_id=row.document_id,
            document_version=row.document_version,
            title=row.title,
            source=row.source,
            origin=checked_origin(row.origin),
            page=row.page,
            row=row.row,
            start=row.start_char,
            end=row.end_char,
            quote=row.quote,
        )
        for row in session.scalars(statement)
    )


def _scores(session: Session, answer_id: int) -> tuple[Score, ...]:
    """Oldest first; of one metric, the last is the one that the view answer_review shows."""
    statement = select(tables.AnswerScore).where(tables.AnswerScore.answer_id == answer_id)
    rows = sorted(
        session.scalars(statement), key=lambda row: (row.created_at, row.metric, row.scorer, row.scorer_version)
    )
    return tuple(
        Score(metric=row.metric, value=row.value, scorer=row.scorer, scorer_version=row.scorer_version) for row in rows
    )


def _feedback(session: Session, answer_id: int) -> tuple[Feedback, ...]:
    statement = select(tables.Feedback).where(tables.Feedback.answer_id == answer_id).order_by(tables.Feedback.id)
    return tuple(
        Feedback(
            id=row.id,
            answer_id=row.answer_id,
            rating=row.rating,
            comment=row.comment,
            corrected_answer=row.corrected_answer,
            wrong_passage_id=row.wrong_passage_id,
            is_review=row.is_review,
            user_id=row.user_id,
            created_at=row.created_at,
        )
        for row in session.scalars(statement)
    )


def _timings(row: tables.Answer) -> dict[str, float]:
    timings = {stage: getattr(row, f"{stage}_ms") for stage in TIMINGS}
    return {stage: value for stage, value in timings.items() if value is not None}
