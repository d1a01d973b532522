"""Ids in parts small enough to be bound in one statement."""

from collections.abc import Iterator, Sequence

IDS_PER_STATEMENT = 500
"""Ids bound in one statement: databases limit the number of parameters, SQLite once to 999."""


def id_batches(ids: Sequence[int]) -> Iterator[list[int]]:
    """The ids in their order, at most ``IDS_PER_STATEMENT`` at a time, as Python's own integers."""
    for start in range(0, len(ids), IDS_PER_STATEMENT):
        yield [int(one) for one in ids[start : start + IDS_PER_STATEMENT]]
