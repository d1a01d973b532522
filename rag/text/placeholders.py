"""Puts placeholders in the place of personal data, and says where everything else has moved to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rag.records import PersonalDataKind
from rag.text.personal_data import Found, find_personal_data

Place = tuple[int, int, str]
"""Start and end of what is to be replaced, and what it is."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """``original[start:end]`` became ``masked[new_start:new_end]``; ``kind`` is what it was, or a field's name."""

    start: int
    end: int
    new_start: int
    new_end: int
    kind: str


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text with placeholders, and what they replace, in order."""

    text: str
    replaced: tuple[Replaced, ...]

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """A range of the original in pieces that were kept or replaced: (start, end, new start, new end) of each.

        A placeholder is always whole, also where only a part of what it replaces is in the range.
        """
        moved = 0
        for one in self.replaced:
            if one.start < end and start < one.end:
                if start < one.start:
                    yield start, one.start, start + moved, one.start + moved
                yield max(start, one.start), min(end, one.end), one.new_start, one.new_end
                start = one.end
            if one.end <= start:
                moved = one.new_end - one.end
        if start < end:
            yield start, end, start + moved, end + moved

    def moved(self, start: int, end: int) -> tuple[int, int]:
        """Where a range of the original is now; a placeholder that it touches is in it."""
        pieces = list(self.pieces(start, end))
        return pieces[0][2], pieces[-1][3]


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What is replaced: personal data of these kinds by ``<EMAIL>`` and the like, and what stands in named fields.

    ``phone_regions`` as in ``find_personal_data``. ``fields`` are names as documents have them in their text: of
    columns of a table, of fields of a JSON record.
    """

    kinds: frozenset[PersonalDataKind] = frozenset()
    phone_regions: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    def values_in(self, text: str) -> dict[str, str]:
        """What stands in the named fields of a text, which documents write as ``name: value``; name by value."""
        if not self.fields:
            return {}
        names = "|".join(re.escape(name) for name in self.fields)
        pattern = rf"(?:^|(?<=; ))(?:[^:;\n]*\.)?({names}):[ \t]*([^;\n]+)"
        found = re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE)
        return {match[2].strip(): match[1] for match in found if len(match[2].strip()) > 1}

    def put_into(self, text: str, values: Iterable[tuple[str, str]] = (), places: Iterable[Place] = ()) -> MaskedText:
        """The text with placeholders.

        ``values`` are words that are replaced wherever they stand, with their field; ``places`` are replaced besides.
        """
        found: list[Place] = [*places, *((one.start, one.end, one.kind) for one in self._found(text))]
        for words, field in values:
            matches = re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE)
            found += [(*match.span(), field) for match in matches]
        return _replaced(text, _united(found))

    def _found(self, text: str) -> list[Found]:
        return find_personal_data(text, self.kinds, phone_regions=self.phone_regions) if self.kinds else []


def placeholder(kind: str) -> str:
    """What stands in the place of a kind of personal data, or of a field's value."""
    return f"<{re.sub(r'[^A-Z0-9]+', '_', kind.upper()).strip('_') or 'MASKED'}>"


def _united(places: list[Place]) -> list[Place]:
    """Places in order, those that overlap as one, of the kind of the longest."""
    united: list[Place] = []
    longest = 0
    for start, end, kind in sorted(places):
        if united and start < united[-1][1]:
            first, last, so_far = united[-1]
            united[-1] = (first, max(last, end), kind if end - start > longest else so_far)
            longest = max(longest, end - start)
        else:
            united.append((start, end, kind))
            longest = end - start
    return united


def _replaced(text: str, places: list[Place]) -> MaskedText:
    parts: list[str] = []
    replaced: list[Replaced] = []
    at = length = 0
    for start, end, kind in places:
        word = placeholder(kind)
        length += start - at
        parts += [text[at:start], word]
        replaced.append(Replaced(start, end, length, length + len(word), kind))
        at, length = end, length + len(word)
    return MaskedText("".join([*parts, text[at:]]), tuple(replaced))
