"""What the log keeps of an answer's characters, among its settings: where they come from, and what was masked."""

from collections.abc import Mapping, Sequence
from typing import Any

from rag.records import AnswerSpan

TRACE = "trace"
"""The key among the settings under which it stands."""


def trace_values(
    *,
    confidence_kind: str,
    spans: Sequence[AnswerSpan],
    unsupported: Sequence[tuple[int, int]],
    notes: Sequence[str],
    masked: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What is logged; ``masked`` has what was masked by the field that held it."""
    return {
        "confidence_kind": confidence_kind,
        "spans": [[s.answer_start, s.answer_end, s.citation, s.start, s.end] for s in spans],
        "unsupported": [list(characters) for characters in unsupported],
        "notes": list(notes),
        **({"masked": {field: list(kinds) for field, kinds in masked.items()}} if masked else {}),
    }


def trace_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same as fields of ``Answer``; answers of older versions have none."""
    return {
        "confidence_kind": values.get("confidence_kind", "probability"),
        "spans": tuple(
            AnswerSpan(answer_start=answer_start, answer_end=answer_end, citation=citation, start=start, end=end)
            for answer_start, answer_end, citation, start, end in values.get("spans", ())
        ),
        "unsupported": tuple((start, end) for start, end in values.get("unsupported", ())),
        "notes": tuple(values.get("notes", ())),
        "masked": tuple(sorted(values.get("masked", ()))),
    }
