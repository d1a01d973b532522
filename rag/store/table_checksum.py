"""The checksum of a table's rows, the same on SQLite and on PostgreSQL when the rows are.

Each row is written in one canonical form and hashed with SHA-256; the hashes are added up modulo 2^256, so the order of
rows, which the two databases see differently, does not matter (MSet-Add-Hash without a key: Clarke, Devadas, van Dijk,
Gassend, Suh, "Incremental Multiset Hash Functions and Their Application to Memory Integrity Checking", 2003). It finds
what was lost or changed by accident or by hand, not what somebody has computed to go unnoticed.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Boolean, ColumnElement, Float, Integer, LargeBinary, Table
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from rag.store.column_types import PlainText, UtcDateTime
from rag.store.stored_rows import select_stored, stored_rows

_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChecksum:
    """How many rows a table has, and their checksum in hexadecimal digits."""

    table: str
    num_rows: int
    checksum: str


def table_checksum(
    session: Session,
    table: Table,
    *wanted: ColumnElement[bool],
    on_rows: Callable[[int], None] = lambda _: None,
) -> TableChecksum:
    """The checksum of the rows wanted, as they are stored.

    Args:
        session: where to read.
        table: the table.
        wanted: conditions on its ``stored_table``.
        on_rows: is told of each batch how many rows it had.
    """
    writers = [_writer(column.type) for column in table.columns]
    total = num_rows = 0
    for batch in stored_rows(session, select_stored(table, session.get_bind().dialect.name, *wanted), table):
        for row in batch:
            written = hashlib.sha256()
            for write, value in zip(writers, row, strict=True):
                # The length in front: else two columns could share their bytes out in another way.
                data = None if value is None else write(value)
                written.update(b"\0" if data is None else b"\1" + len(data).to_bytes(8, "big") + data)
            total += int.from_bytes(written.digest(), "big")
        total %= _MODULUS
        num_rows += len(batch)
        on_rows(len(batch))
    return TableChecksum(table=table.name, num_rows=num_rows, checksum=f"{total:064x}")


def _writer(of: TypeEngine[Any]) -> Callable[[Any], bytes]:
    """How a value of a column is written."""
    for kind, write in _WRITERS:
        if isinstance(of, kind):
            return write
    raise TypeError(f"no canonical form for {of!r}")


def _number(value: float) -> bytes:
    return struct.pack(">d", value + 0.0)  # SQLite keeps no sign of zero


def _json(text: str) -> bytes:
    value = json.loads(text)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


_WRITERS: tuple[tuple[type[TypeEngine[Any]], Callable[[Any], bytes]], ...] = (
    (PlainText, lambda text: str(text).encode()),
    (UtcDateTime, lambda moment: str(moment.isoformat(timespec="microseconds")).encode()),
    (JSON, _json),
    (Boolean, lambda value: b"1" if value else b"0"),
    (Integer, lambda value: str(int(value)).encode()),
    (Float, _number),
    (LargeBinary, bytes),
)
