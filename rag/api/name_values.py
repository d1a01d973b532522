"""Names with values in query strings and form fields: ``team=ops``."""

import json
from collections.abc import Sequence

from rag.errors import InvalidInput


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
