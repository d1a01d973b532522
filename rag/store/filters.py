"""Filters on documents: conditions in SQL, names and values only ever as bound parameters.

A filter is a JSON object; all of its entries must hold.

    {"team": "ops"}                                equal
    {"year": {"$gte": 2020, "$lt": 2024}}          $eq $ne $in $nin, and $gt $gte $lt $lte on numbers and dates
    {"tags": {"$any": ["team=ops", "draft"]}}      any ($any) or all ($all) of these tags, by name or as name=value
    {"reviewed": {"$exists": false}}               whether there is such a value at all
    {"$or": [{...}, {...}]}   {"$and": [...]}   {"$not": {...}}

``source``, ``file``, ``title``, ``media_type``, ``origin``, ``version``, ``created_at`` and ``updated_at`` mean the
document itself; any other name means the tag or the metadata value of that name. Text is compared with the value in
the words of JSON (``true``, ``5``, ``0.5``), a number with numbers, also with those written as text. Ranges take a
number or a date (ISO 8601). ``$ne``, ``$nin`` and ``$not`` also hold for documents that have no such value.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, not_, or_, select, true

from rag.errors import InvalidInput
from rag.store.column_types import check_plain_text
from rag.store.document_attributes import as_moment, as_number, attribute_text
from rag.store.tables import Document, DocumentAttribute

Filters = Mapping[str, Any]

TEXT_COLUMNS = {
    "source": Document.source,
    "file": Document.file,
    "title": Document.title,
    "media_type": Document.media_type,
    "origin": Document.origin,
}
MOMENT_COLUMNS = {"created_at": Document.created_at, "updated_at": Document.updated_at}

_COLUMN_NAMES = frozenset([*TEXT_COLUMNS, *MOMENT_COLUMNS, "version"])

MAX_CONDITIONS = 200
MAX_DEPTH = 20
"""Objects and lists in each other: ten joints."""

_RANGES: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "$gt": lambda column, value: column > value,
    "$gte": lambda column, value: column >= value,
    "$lt": lambda column, value: column < value,
    "$lte": lambda column, value: column <= value,
}
_OPERATORS = ("$eq", "$ne", "$in", "$nin", *_RANGES, "$exists", "$any", "$all")
_JOINTS = ("$and", "$or", "$not")


def conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """What a row of ``documents`` must fulfil.

    Raises:
        InvalidInput: the filter is malformed, too large, or holds characters that cannot be stored; the message says
            where.
    """
    check_size(filters)
    return _all_of(filters)


def check_size(filters: Filters) -> None:
    """Refuse a filter that is too large to be looked at any further.

    Raises:
        InvalidInput: it is.
    """
    # Without recursion: a hostile filter may be nested deeper than Python goes.
    num = 0
    rest: list[tuple[Any, int]] = [(filters, 0)]
    while rest:
        part, depth = rest.pop()
        if depth > MAX_DEPTH:
            raise InvalidInput(f"The filter is nested deeper than {MAX_DEPTH} levels; make it simpler.")
        if isinstance(part, Mapping):
            rest += ((value, depth + 1) for value in part.values())
        elif isinstance(part, list | tuple):
            rest += ((value, depth + 1) for value in part)
        else:
            num += 1
        if num > MAX_CONDITIONS:
            raise InvalidInput(f"The filter has more than {MAX_CONDITIONS} conditions; make it simpler.")


def _all_of(filters: Any) -> list[ColumnElement[bool]]:
    if not isinstance(filters, Mapping):
        raise InvalidInput('A filter is an object of names and values, such as {"team": "ops"}.')
    return [_entry(name, value) for name, value in filters.items()]


def _entry(name: str, value: Any) -> ColumnElement[bool]:
    if name in _JOINTS:
        return _joint(name, value)
    if not name:
        raise InvalidInput("A filter needs a name; write it as name=value.")
    if name.startswith("$") and isinstance(value, list | Mapping):
        raise InvalidInput(f"{name} is not known; there are {', '.join(_JOINTS)}.")
    check_plain_text(name)
    if not isinstance(value, Mapping):
        return _operation(name, "$eq", value)
    if not value:
        raise InvalidInput(f"The filter {name!r} names no operator; there are {', '.join(_OPERATORS)}.")
    return and_(*(_operation(name, operator, operand) for operator, operand in value.items()))


def _joint(name: str, value: Any) -> ColumnElement[bool]:
    if name == "$not":
        return not_(and_(*_some(_all_of(value), name)))
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"{name} takes a list of filters.")
    parts = _some([and_(*_some(_all_of(part), name)) for part in value], name)
    return and_(*parts) if name == "$and" else or_(*parts)


def _some(parts: list[ColumnElement[bool]], name: str) -> list[ColumnElement[bool]]:
    if not parts:
        raise InvalidInput(f"{name} is empty; put a filter into it.")
    return parts


def _operation(name: str, operator: str, operand: Any) -> ColumnElement[bool]:
    if operator in ("$any", "$all"):
        return _has_tags(name, operator, operand)
    if operator in _RANGES:
        return _in_range(name, operator, operand)
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise InvalidInput(f"$exists of {name!r} is true or false.")
        found = _has_attribute(name) if name not in _COLUMN_NAMES else true()
        return found if operand else not_(found)
    if operator in ("$in", "$nin"):
        found = or_(false(), *(_equals(name, value) for value in _values(name, operator, operand)))
        return found if operator == "$in" else not_(found)
    if operator in ("$eq", "$ne"):
        found = _equals(name, operand)
        return found if operator == "$eq" else not_(found)
    raise InvalidInput(f"The operator {operator!r} of {name!r} is not known; there are {', '.join(_OPERATORS)}.")


def _values(name: str, operator: str, operand: Any) -> Sequence[Any]:
    if not isinstance(operand, list | tuple):
        raise InvalidInput(f"{operator} of {name!r} takes a list of values.")
    return operand


def _equals(name: str, value: Any) -> ColumnElement[bool]:
    if isinstance(value, str):
        check_plain_text(value)
    elif value is None or not isinstance(value, bool | int | float):
        raise InvalidInput(f"The value of {name!r} must be text, a number, true or false; for none, use $exists.")
    if name in TEXT_COLUMNS:
        return TEXT_COLUMNS[name] == str(value)
    if name == "version":
        return Document.version == _range_operand(name, value, numbers=True)
    if name in MOMENT_COLUMNS:
        return MOMENT_COLUMNS[name] == _range_operand(name, value, numbers=False)
    if isinstance(value, str | bool):
        return _has_attribute(name, DocumentAttribute.text == attribute_text(value))
    return _has_attribute(name, DocumentAttribute.number == float(value))


def _in_range(name: str, operator: str, operand: Any) -> ColumnElement[bool]:
    compare = _RANGES[operator]
    if name in TEXT_COLUMNS:
        raise InvalidInput(f"{name!r} is text and knows no range; use $eq or $in.")
    if name == "version":
        return compare(Document.version, _range_operand(name, operand, numbers=True))
    if name in MOMENT_COLUMNS:
        return compare(MOMENT_COLUMNS[name], _range_operand(name, operand, numbers=False))
    bound = _range_operand(name, operand)
    column = DocumentAttribute.moment if isinstance(bound, datetime) else DocumentAttribute.number
    return _has_attribute(name, compare(column, bound))


def _range_operand(name: str, operand: Any, *, numbers: bool | None = None) -> float | datetime:
    """A bound as a number or a moment; ``numbers`` says which of the two it must be, None that both will do."""
    number = as_number(operand) if numbers is not False else None
    found = number if number is not None else as_moment(operand) if numbers is not True else None
    if found is None:
        wanted = {None: "a number or a date (ISO 8601)", True: "a number", False: "a date (ISO 8601)"}[numbers]
        raise InvalidInput(f"{name!r} is compared with {operand!r}, which is not {wanted}.")
    return found


def _has_tags(name: str, operator: str, operand: Any) -> ColumnElement[bool]:
    if name != "tags":
        raise InvalidInput(f'{operator} is for tags: {{"tags": {{"{operator}": ["team=ops"]}}}}.')
    tags = _values(name, operator, operand)
    if not tags or not all(isinstance(tag, str) and tag for tag in tags):
        raise InvalidInput(f"{operator} takes a list of tags, each as name or name=value.")
    found = [_has_tag(tag) for tag in tags]
    return or_(*found) if operator == "$any" else and_(*found)


def _has_tag(tag: str) -> ColumnElement[bool]:
    check_plain_text(tag)
    name, separator, value = tag.partition("=")
    is_tag = DocumentAttribute.is_tag.is_(True)
    if not separator:
        return _has_attribute(name, is_tag)
    return _has_attribute(name, is_tag, DocumentAttribute.text == attribute_text(value))


def _has_attribute(name: str, *wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    # IN, so that the database may begin at the index of the attributes, whichever way the rest of the query goes.
    return Document.id.in_(select(DocumentAttribute.document_id).where(DocumentAttribute.name == name, *wanted))
