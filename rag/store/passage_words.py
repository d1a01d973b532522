"""The words of passages, for those who embed them or index them."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from rag.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageWords:
    """What the keyword index and the embedder read of a passage."""

    passage_id: int
    document_id: int
    title: str
    headings: tuple[str, ...]
    text: str
    is_repeated: bool = False


def list_words(session: Session, *conditions: ColumnElement[bool]) -> list[PassageWords]:
    """The words of the passages that fulfil all of ``conditions``, by id. Conditions may speak of documents as well."""
    statement = (
        select(
            tables.Passage.id,
            tables.Passage.document_id,
            tables.Document.title,
            tables.Passage.headings,
            tables.Passage.text,
            tables.Passage.is_repeated,
        )
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(*conditions)
        .order_by(tables.Passage.id)
    )
    return [
        PassageWords(
            passage_id=passage_id,
            document_id=document_id,
            title=title,
            headings=tuple(headings),
            text=text,
            is_repeated=is_repeated,
        )
        for passage_id, document_id, title, headings, text, is_repeated in session.execute(statement)
    ]
