"""All rows of a database into another one, of the same kind or not: SQLite, PostgreSQL.

The source is read in one snapshot, table after table in the order of their foreign keys, and each by its key; every
batch is one transaction of the target. So what the target has of a table is its beginning, and a copy that was killed
goes on behind that. At the end both are read again, and every table has to have the same number of rows and the same
checksum. Until then a mark (``rag.store.copy_mark``) keeps everybody from taking the copy for a whole one.

Rows are copied as they are stored (``rag.store.stored_rows``): no keys of the log are needed, and what is encrypted
stays so. Views are not copied; the target has its own. Nothing of datasets is ever changed or deleted, as their
triggers want it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, StoreUnavailable
from rag.records import Caller
from rag.store.audit import put_audit_event
from rag.store.copy_mark import begin_copy, end_copy
from rag.store.database import Database
from rag.store.migrate import require_current, require_revision
from rag.store.stored_rows import ROWS_PER_BATCH, leading_key, select_stored, stored_rows, stored_table
from rag.store.table_checksum import TableChecksum, table_checksum
from rag.store.tables import Base

AUDIT_EVENTS = Base.metadata.tables["audit_events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedDatabase:
    """What a copy holds, table by table. ``was_resumed``: it went on with one that was broken off."""

    tables: tuple[TableChecksum, ...]
    was_resumed: bool

    @property
    def num_rows(self) -> int:
        """The rows of all tables."""
        return sum(table.num_rows for table in self.tables)


def copy_rows(
    source: Database,
    target: Database,
    *,
    caller: Caller,
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
    rows_per_batch: int = ROWS_PER_BATCH,
) -> CopiedDatabase:
    """Copy everything. Nobody may write to the target meanwhile; what is written to the source meanwhile is not copied.

    ``on_progress`` gets how many rows are done, of how many, and the table; each row is copied and then compared.

    Raises:
        InvalidInput: both are the same database, or the target is neither empty nor a copy of this source begun before.
        Busy: another process copies into the target.
        StoreUnavailable: one of them does not answer or has another revision than this program; a row does not fit; or
            the copy differs from the source, which has changed after an earlier run, or somebody wrote to the copy.
    """
    if source.place == target.place:
        raise InvalidInput(f"Source and target are the same database {source}; name two.")
    require_current(source)
    require_revision(target)
    with target.exclusive("copy", wait=False), source.read() as snapshot:
        last_event_id = _last_id(snapshot, AUDIT_EVENTS)
        with target.write() as session:
            mark, was_resumed = begin_copy(session, source=source.place, last_event_id=last_event_id)
        copying = _Copying(snapshot, target, mark.last_event_id, on_progress, rows_per_batch)
        for table in copying.tables:
            copying.copy(table)
        for table in copying.tables:
            copying.link(table)
        checksums = copying.compare(str(source))
        with target.write() as session:
            for table in copying.tables:
                _continue_ids(session, table, _last_id(snapshot, table))
            end_copy(session)
            put_audit_event(session, caller, "db.copy", details={"source": str(source)})
    return CopiedDatabase(tables=tuple(checksums), was_resumed=was_resumed)


class _Copying:
    """One run from a snapshot to a target."""

    def __init__(
        self,
        snapshot: Session,
        target: Database,
        last_event_id: int,
        on_progress: Callable[[int, int, str], None],
        rows_per_batch: int,
    ) -> None:
        self._snapshot, self._target = snapshot, target
        self._last_event_id, self._rows_per_batch = last_event_id, rows_per_batch
        self._source_dialect = snapshot.get_bind().dialect.name
        self._on_progress = on_progress
        self.tables = _tables_in_order()
        self._num_done = 0
        self._total = 2 * sum(_count(snapshot, table) for table in self.tables)

    def copy(self, table: Table) -> None:
        """Copy the rows that the target does not have yet; columns that name another row of the table come later."""
        behind = self._behind_what_is_there(table)
        statement = select_stored(table, self._source_dialect, *behind)
        later = dict.fromkeys(_columns_naming_own_rows(table))
        insert = sqlite_insert if self._target.dialect == "sqlite" else postgresql_insert
        into = insert(stored_table(table, self._target.dialect)).on_conflict_do_nothing()
        for batch in stored_rows(self._snapshot, statement, table, rows_per_batch=self._rows_per_batch):
            self._write(table, into, [{**row._mapping, **later} for row in batch])
            self._progress(table, len(batch))

    def link(self, table: Table) -> None:
        """Let rows name other rows of their table, all of which are there now."""
        names = _columns_naming_own_rows(table)
        if not names:
            return
        (key,) = (column.name for column in table.primary_key.columns)
        of_source, of_target = (stored_table(table, one) for one in (self._source_dialect, self._target.dialect))
        columns = [of_source.c[name] for name in names]
        statement = select(of_source.c[key].label("key_of_row"), *columns)
        statement = statement.where(or_(*(column.is_not(None) for column in columns))).order_by(of_source.c[key])
        change = update(of_target).where(of_target.c[key] == bindparam("key_of_row"))
        change = change.values({name: bindparam(name) for name in names})
        for batch in stored_rows(self._snapshot, statement, table, rows_per_batch=self._rows_per_batch):
            self._write(table, change, [dict(row._mapping) for row in batch])

    def compare(self, source_name: str) -> list[TableChecksum]:
        """The checksums of the source's tables.

        Raises:
            StoreUnavailable: the target has other ones.
        """
        checksums, different = [], []
        with self._target.read() as copied:
            for table in self.tables:
                there = table_checksum(self._snapshot, table, on_rows=partial(self._progress, table))
                here = table_checksum(copied, table, *self._not_own(table, self._target.dialect))
                checksums.append(there)
                if here != there:
                    counts = f"{there.num_rows} rows, {here.num_rows} in the copy"
                    different.append(f"{table.name} ({counts})")
        if different:
            raise StoreUnavailable(
                f"The copy in {self._target} differs from {source_name} in {', '.join(different)}: the source has "
                "changed since the copy was begun, or somebody wrote to the copy; copy into a new database."
            )
        return checksums

    def _behind_what_is_there(self, table: Table) -> list[ColumnElement[bool]]:
        """A condition on rows of the source that leaves out most of those that the target has."""
        lead = leading_key(table)
        with self._target.read() as session:
            own = self._not_own(table, self._target.dialect)
            num_there = _count(session, table, *own)
            self._progress(table, num_there)
            if lead is None or not num_there:
                return []
            name, is_whole_key = lead
            last = session.scalar(select(func.max(stored_table(table, self._target.dialect).c[name])).where(*own))
        column = stored_table(table, self._source_dialect).c[name]
        return [column > last] if is_whole_key else [column >= last]

    def _not_own(self, table: Table, dialect: str) -> list[ColumnElement[bool]]:
        """A condition on rows of the target that leaves out the events that are its own."""
        is_audit = table is AUDIT_EVENTS
        return [stored_table(table, dialect).c.id <= self._last_event_id] if is_audit else []

    def _write(self, table: Table, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            with self._target.write() as session:
                session.connection().execute(statement, rows)
        except IntegrityError as error:
            reason = next(iter(str(error.orig).splitlines()), "no reason given").rstrip(".")
            raise StoreUnavailable(f"A row of {table.name} does not fit into {self._target} ({reason}).") from error

    def _progress(self, table: Table, num_rows: int) -> None:
        self._num_done = min(self._num_done + num_rows, self._total)
        self._on_progress(self._num_done, self._total, table.name)


def _tables_in_order() -> list[Table]:
    """Tables after those that they name. A draft is marked before its documents come, later a trigger refuses it."""
    drafts, documents = (Base.metadata.tables[name] for name in ("dataset_drafts", "dataset_documents"))
    tables = [table for table in Base.metadata.sorted_tables if table is not drafts]
    tables.insert(tables.index(documents), drafts)
    return tables


def _columns_naming_own_rows(table: Table) -> list[str]:
    return [key.parent.name for key in sorted(table.foreign_keys, key=str) if key.column.table is table]


def _count(session: Session, table: Table, *wanted: ColumnElement[bool]) -> int:
    stored = stored_table(table, session.get_bind().dialect.name)
    return session.scalar(select(func.count()).select_from(stored).where(*wanted)) or 0


def _last_id(session: Session, table: Table) -> int:
    """The last id that a table has given away, whether or not its row is still there; 0 where it gives none."""
    if table.autoincrement_column is None:
        return 0
    if session.get_bind().dialect.name == "sqlite":
        statement = "SELECT max(seq) FROM sqlite_sequence WHERE name = :name"
    else:
        statement = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:name, 'id') AS regclass))"
    given = session.scalar(text(statement), {"name": table.name}) or 0
    return max(given, session.scalar(select(func.max(table.c.id))) or 0)


def _continue_ids(session: Session, table: Table, last_id: int) -> None:
    """Let the next id of a table follow ``last_id`` and all that are there."""
    last = max(last_id, _last_id(session, table))
    if not last:
        return
    for statement in _statements_to_continue(session.get_bind().dialect.name):
        session.execute(text(statement), {"name": table.name, "last": last})


def _statements_to_continue(dialect: str) -> Iterator[str]:
    if dialect == "postgresql":
        yield "SELECT setval(CAST(pg_get_serial_sequence(:name, 'id') AS regclass), :last)"
    else:  # the table that SQLite counts in has no key, so it takes two statements
        yield "DELETE FROM sqlite_sequence WHERE name = :name"
        yield "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"
