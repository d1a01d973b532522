"""What the columns of a document hold, checked on the way in and turned into records on the way out."""

import math
from collections.abc import Mapping
from typing import Any, get_args

from rag.errors import InvalidInput
from rag.records import Metadata, Origin, Section
from rag.store.column_types import check_plain_text

ORIGINS: tuple[Origin, ...] = get_args(Origin)


def section_json(section: Section) -> dict[str, Any]:
    """A section as it is stored."""
    return {
        "start": section.start,
        "end": section.end,
        "headings": list(section.headings),
        "page": section.page,
        "row": section.row,
    }


def stored_section(value: Mapping[str, Any]) -> Section:
    """A section from what is stored."""
    return Section(
        start=value["start"],
        end=value["end"],
        headings=tuple(value["headings"]),
        page=value["page"],
        row=value["row"],
    )


def checked_origin(origin: str) -> Origin:
    """The origin itself.

    Raises:
        InvalidInput: it is unknown.
    """
    for known in ORIGINS:
        if origin == known:
            return known
    raise InvalidInput(f"The origin {origin!r} is unknown; it is one of {', '.join(ORIGINS)}.")


def checked_values(labels: Metadata) -> dict[str, Any]:
    """Tags or metadata that JSON and both databases can hold.

    Raises:
        InvalidInput: a name or a value cannot be stored.
    """
    for name, value in labels.items():
        if not name:
            raise InvalidInput("A tag or metadata value needs a name.")
        check_plain_text(name)
        if isinstance(value, str):
            check_plain_text(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"The metadata value {name!r} is not a finite number, which cannot be stored.")
    return dict(labels)
