"""Which texts are embedded together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

PADDED_TO = 8
"""Lengths are padded to a multiple of so many tokens where nothing asks for another."""


def padded_batches(
    lengths: Sequence[int], batch_size: int, *, multiple_of: int = PADDED_TO
) -> Iterator[tuple[int, list[int]]]:
    """Lengths padded to a multiple, each with the places of at most ``batch_size`` texts of that length.

    Batches of one padded length differ in their number of rows only. In float32 each row then comes out the same to the
    bit, so that a text gets the same vector in any company.
    """
    places_by_length = defaultdict[int, list[int]](list)
    for place, length in enumerate(lengths):
        places_by_length[-(-length // multiple_of) * multiple_of].append(place)
    for length, places in places_by_length.items():
        for start in range(0, len(places), batch_size):
            yield length, places[start : start + batch_size]
