"""Where the right answer to each question of an evaluation stands: the format and origin of its document."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from rag.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSource:
    """What kind of document a question was written for."""

    media_type: str
    origin: str


def question_sources(session: Session, run_id: int, *, gold_passage: bool) -> dict[int, QuestionSource]:
    """The source of each question of an evaluation, by its ordinal; those of which nothing is known are left out.

    It is the document of the right passage among those read (with ``gold_passage`` all are right). Where that was not
    among them, the article's title decides, if all documents of that title are of one format and origin.
    """
    result, shown, document = tables.EvaluationResult, tables.AnswerPassage, tables.Document
    right_rank = case(
        (result.reranked_gold_rank.is_not(None), result.reranked_gold_rank), else_=1 if gold_passage else 0
    )
    rows = session.execute(
        select(result.ordinal, result.article, document.media_type, document.origin)
        .outerjoin(shown, and_(shown.answer_id == result.answer_id, shown.rank == right_rank))
        .outerjoin(document, document.id == shown.document_id)
        .where(result.run_id == run_id, result.ordinal.is_not(None))
    ).all()
    by_title = _sources_by_title(session, run_id)
    found: dict[int, QuestionSource] = {}
    for ordinal, article, media_type, origin in rows:
        if ordinal is None:
            continue
        if media_type:
            found[ordinal] = QuestionSource(media_type=media_type, origin=origin)
        elif article in by_title:
            found[ordinal] = by_title[article]
    return found


def _sources_by_title(session: Session, run_id: int) -> Mapping[str, QuestionSource]:
    """Titles of the run's collection whose documents are all alike."""
    document, run = tables.Document, tables.EvaluationRun
    rows = session.execute(
        select(document.title, func.min(document.media_type), func.min(document.origin))
        .join(run, run.collection_id == document.collection_id)
        .where(run.id == run_id, document.deleted_at.is_(None))
        .group_by(document.title)
        .having(
            func.count(document.media_type.distinct()) == 1,
            func.count(document.origin.distinct()) == 1,
        )
    )
    return {title: QuestionSource(media_type=media_type, origin=origin) for title, media_type, origin in rows}
