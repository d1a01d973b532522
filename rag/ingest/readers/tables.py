"""Tables as text: a line per row that repeats the column names, so that a row makes sense on its own."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from rag.ingest.readers.facts import one_line

_AMOUNT = re.compile(r"[-+(]?\s*\W?\s*\d[\d\s.,':/-]*\s*([KMBkmb]|\W|[A-Z]{3})?\)?")


def row_line(headers: Sequence[str], cells: Sequence[str]) -> str:
    """``Header: cell; Header: cell``; empty cells are left out, a cell without a header stands alone."""
    facts = []
    for header, cell in zip_longest(headers, cells, fillvalue=""):
        value = one_line(cell)
        if value:
            facts.append(f"{header}: {value}" if header else value)
    return "; ".join(facts)


def is_amount(text: str) -> bool:
    """Whether a cell holds a number, a sum, a share, a date or the like rather than words."""
    return _AMOUNT.fullmatch(text.strip()) is not None


def header_names(cells: Sequence[str]) -> list[str]:
    """The cells of a header row as column names: on one line, without a colon at the end."""
    return [one_line(cell).rstrip(": ") for cell in cells]
