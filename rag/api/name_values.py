"""Names with values in query strings and form fields: ``team=ops``, ``year>=2020``."""

import json
import re
from collections.abc import Sequence
from typing import Any

from rag.errors import InvalidInput

_COMPARISON = re.compile(r"(?P<name>[^=<>!]+)(?P<operator>!=|>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
_OPERATORS = {"=": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_SHOWN_CHARS = 80


def parse_name_values(fields: Sequence[str], *, field: str) -> dict[str, str]:
    """Turn ``name=value`` fields into a mapping.

    Raises:
        InvalidInput: one of them has no ``=``, or nothing before it. ``field`` is what the message calls them.
    """
    parsed = {}
    for text in fields:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidInput(f"{field} {text!r} is not of the form name=value.")
        parsed[name] = value
    return parsed


def parse_filters(fields: Sequence[str], *, field: str) -> dict[str, Any]:
    """Turn filters written as text into one filter (see ``rag.store.filters``); all of them must hold.

    Each is ``name=value``, ``!=``, ``>``, ``>=``, ``<`` or ``<=``, or a whole filter as a JSON object.

    Raises:
        InvalidInput: one of them is neither. ``field`` is what the message calls them.
    """
    parsed = [_parse_filter(text, field=field) for text in fields]
    return parsed[0] if len(parsed) == 1 else {"$and": parsed} if parsed else {}


def _parse_filter(text: str, *, field: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"{field} {text[:_SHOWN_CHARS]!r} is not JSON: {error}.") from error
        assert isinstance(value, dict)
        return value
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"{field} {text[:_SHOWN_CHARS]!r} is neither name=value (or !=, >, >=, <, <=) nor a JSON object."
        )
    operator = _OPERATORS[found["operator"]]
    return {found["name"]: found["value"] if operator == "$eq" else {operator: found["value"]}}


def parse_tags(fields: Sequence[str]) -> dict[str, str]:
    """Turn the form fields ``tags`` into a mapping: each is ``name=value`` or a JSON object of strings.

    Raises:
        InvalidInput: one of them is neither.
    """
    tags: dict[str, str] = {}
    for text in fields:
        if text.lstrip().startswith(("{", "[")):
            tags |= _parse_json(text)
        elif text.strip():
            tags |= parse_name_values([text], field="The tag")
    return tags


def _parse_json(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"tags is not JSON: {error}.") from error
    if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
        raise InvalidInput('tags must be a JSON object of strings, such as {"team": "ops"}.')
    return value
