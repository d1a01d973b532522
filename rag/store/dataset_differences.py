"""What distinguishes two datasets, document by document."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import CompoundSelect, Select, func, literal, null, or_, select, union_all
from sqlalchemy.orm import Session, aliased

from rag.errors import InvalidInput
from rag.records import Origin
from rag.store.column_types import PlainText
from rag.store.dataset_tables import DatasetDocument

DifferenceKind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDifference:
    """A document that two datasets do not share: its hash and origin before and after, None where it is absent.

    ``changed`` means other words or another origin.
    """

    source: str
    kind: DifferenceKind
    text_sha256_before: str | None
    text_sha256_after: str | None
    origin_before: Origin | None
    origin_after: Origin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceCounts:
    """How many documents two datasets do not share."""

    num_added: int
    num_removed: int
    num_changed: int


def count_differences(session: Session, before_id: int, after_id: int) -> DifferenceCounts:
    """How many documents came, went and changed between two datasets, which need not be of one collection."""
    found = _differences(before_id, after_id).subquery()
    numbers: dict[str, int] = dict(session.execute(select(found.c.kind, func.count()).group_by(found.c.kind)).all())
    return DifferenceCounts(
        num_added=numbers.get("added", 0),
        num_removed=numbers.get("removed", 0),
        num_changed=numbers.get("changed", 0),
    )


def list_differences(
    session: Session, before_id: int, after_id: int, *, after_source: str = "", limit: int = 100
) -> list[DatasetDifference]:
    """The differences by source; ``after_source`` continues after a page.

    Raises:
        InvalidInput: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    found = _differences(before_id, after_id).subquery()
    statement = select(found).where(found.c.source > after_source).order_by(found.c.source).limit(limit)
    return [DatasetDifference(**row._mapping) for row in session.execute(statement)]


def _differences(before_id: int, after_id: int) -> CompoundSelect[Any]:
    before, after = aliased(DatasetDocument), aliased(DatasetDocument)

    def columns(kind: DifferenceKind, *, source: Any, was: bool, is_now: bool) -> Select[Any]:
        nothing = null().cast(PlainText())
        return select(
            source.label("source"),
            literal(kind, PlainText()).label("kind"),
            (before.text_sha256 if was else nothing).label("text_sha256_before"),
            (after.text_sha256 if is_now else nothing).label("text_sha256_after"),
            (before.origin if was else nothing).label("origin_before"),
            (after.origin if is_now else nothing).label("origin_after"),
        )

    def other_lacks(present: Any, other: Any, other_id: int) -> Any:
        return ~select(other.source).where(other.dataset_id == other_id, other.source == present.source).exists()

    return union_all(
        columns("added", source=after.source, was=False, is_now=True).where(
            after.dataset_id == after_id, other_lacks(after, before, before_id)
        ),
        columns("removed", source=before.source, was=True, is_now=False).where(
            before.dataset_id == before_id, other_lacks(before, after, after_id)
        ),
        columns("changed", source=before.source, was=True, is_now=True)
        .join(after, after.source == before.source)
        .where(
            before.dataset_id == before_id,
            after.dataset_id == after_id,
            or_(before.text_sha256 != after.text_sha256, before.origin != after.origin),
        ),
    )
