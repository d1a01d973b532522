"""Masks personal data in what the log holds of an answer; whoever asked gets the answer as it is.

The log must never hold what was to be masked: masking comes before storing, and an error in it leaves both undone.
What is found has a form (``rag.text.personal_data``) or stands in a field that the settings name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rag.config import Settings
from rag.errors import InvalidInput
from rag.records import Answer, AnswerSpan, Citation, Hit
from rag.store.answers import NewAnswer
from rag.store.evaluations import QuestionResult
from rag.text.personal_data import is_phone_region
from rag.text.placeholders import MaskedText, Place, Placeholders, placeholder

FILTERS = "filters"
"""The field of the log that is not a column but one of the settings that an answer is logged with."""


class LogMask:
    """Puts placeholders into the fields of the log. Safe to share between threads."""

    def __init__(self, placeholders: Placeholders, *, fields: frozenset[str]) -> None:
        """``fields`` are the fields of the log that are masked, by the names of the setting ``masked_fields``."""
        self._placeholders, self._fields = placeholders, fields
        self._is_off = not (placeholders.kinds or placeholders.fields) or not fields

    def answer(self, new: NewAnswer) -> NewAnswer:
        """An answer as it is logged; ``masked`` names what was masked in which field.

        Ranges of the answer's characters are moved with them. Places in documents stay as they are.
        """
        if self._is_off:
            return new
        of_this_answer = _OneAnswer(self._placeholders, self._fields, new.passages)
        return of_this_answer.masked(new)

    def text(self, words: str, field: str) -> str:
        """What somebody wrote, as it is logged in a field."""
        if self._is_off or field not in self._fields:
            return words
        return self._placeholders.put_into(words).text

    def remark(self, words: str | None, field: str) -> str | None:
        """The same of what need not be there."""
        return None if words is None else self.text(words, field)

    def result(self, result: QuestionResult) -> QuestionResult:
        """A question of an evaluation as it is logged. Its figures come from the unmasked words."""
        return replace(
            result,
            question=self.text(result.question, "question"),
            prediction=self.text(result.prediction, "answer"),
            reference_answers=tuple(self.text(words, "answer") for words in result.reference_answers),
        )


class _OneAnswer:
    """Masks one answer and remembers what it masked, by field."""

    def __init__(self, placeholders: Placeholders, fields: frozenset[str], passages: Sequence[Hit]) -> None:
        self._placeholders, self._fields = placeholders, fields
        # What a named field holds in a passage must not come back in the answer that was copied from there.
        self._values = {words: name for hit in passages for words, name in placeholders.values_in(hit.text).items()}
        # Nor may a part of what a passage holds, such as a name cut out of an address.
        self._in_documents = [
            (hit.document_id, hit.document_version, hit.start + one.start, hit.start + one.end, one.kind)
            for hit in passages
            for one in placeholders.put_into(hit.text, self._values.items()).replaced
        ]
        self._masked: dict[str, set[str]] = {}

    def masked(self, new: NewAnswer) -> NewAnswer:
        answer = self._put(new.answer, "answer", self._copied(new))
        standalone = new.links.standalone_question
        masked = replace(
            new,
            question=self._put(new.question, "question").text,
            answer=answer.text,
            spans=[piece for span in new.spans for piece in _moved_span(span, answer)],
            unsupported=[answer.moved(start, end) for start, end in new.unsupported],
            citations=[
                replace(one, quote=self._put(one.quote, "quote", self._touched(one, one.start, one.end)).text)
                for one in new.citations
            ],
            passages=[self._passage(hit) for hit in new.passages],
            settings={
                name: self._filters(value) if name == FILTERS and FILTERS in self._fields else value
                for name, value in new.settings.items()
            },
            links=replace(
                new.links,
                standalone_question=None if standalone is None else self._put(standalone, "standalone_question").text,
            ),
        )
        return replace(masked, masked={field: tuple(sorted(kinds)) for field, kinds in sorted(self._masked.items())})

    def _copied(self, new: NewAnswer) -> list[Place]:
        """What of the answer was copied out of personal data, by the spans of the answer."""
        return [
            (span.answer_start + start, span.answer_start + end, kind)
            for span in new.spans
            if span.citation is not None and span.start is not None and span.end is not None
            for start, end, kind in self._touched(new.citations[span.citation], span.start, span.end)
        ]

    def _touched(self, source: Citation, start: int, end: int) -> list[Place]:
        """What of a range of a cited document is personal data, counted from the start of the range."""
        document = source.document_id, source.document_version
        return [
            (max(first, start) - start, min(last, end) - start, kind)
            for document_id, version, first, last, kind in self._in_documents
            if (document_id, version) == document and first < end and start < last
        ]

    def _put(self, words: str, field: str, places: Sequence[Place] = ()) -> MaskedText:
        if field not in self._fields:
            return MaskedText(words, ())
        found = self._placeholders.put_into(words, self._values.items(), places)
        self._remember(field, *(one.kind for one in found.replaced))
        return found

    def _passage(self, hit: Hit) -> Hit:
        return replace(
            hit,
            title=self._put(hit.title, "title").text,
            headings=tuple(self._put(words, "title").text for words in hit.headings),
            text=self._put(hit.text, "passage").text,
            also_in=tuple(replace(other, title=self._put(other.title, "title").text) for other in hit.also_in),
        )

    def _filters(self, value: Any, name: str = "") -> Any:
        """A filter with its values masked: all of those of a named field, and personal data in the others."""
        if isinstance(value, Mapping):
            return {key: self._filters(inner, name if key.startswith("$") else key) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._filters(inner, name) for inner in value]
        if name.casefold() in {field.casefold() for field in self._placeholders.fields}:
            self._remember(FILTERS, name)
            return placeholder(name)
        return self._put(value, FILTERS).text if isinstance(value, str) else value

    def _remember(self, field: str, *kinds: str) -> None:
        if kinds:
            self._masked.setdefault(field, set()).update(kinds)


def mask_of(settings: Settings) -> LogMask:
    """The mask that the settings ask for.

    Raises:
        InvalidInput: ``phone_regions`` names a region whose numbers are not known.
    """
    for region in settings.phone_regions:
        if not is_phone_region(region):
            raise InvalidInput(f"phone_regions: there is no region {region!r}; write a code of ISO 3166-1, as US.")
    placeholders = Placeholders(
        kinds=frozenset(settings.mask_personal_data),
        phone_regions=settings.phone_regions,
        fields=settings.masked_document_fields,
    )
    return LogMask(placeholders, fields=frozenset(settings.masked_fields))


def as_given(logged: Answer, new: NewAnswer) -> Answer:
    """A logged answer with the words that were masked in the log: what whoever asked gets."""
    if not logged.masked:
        return logged
    return replace(
        logged,
        question=new.question,
        answer=new.answer,
        citations=tuple(new.citations),
        passages=tuple(new.passages),
        spans=tuple(new.spans),
        unsupported=tuple(new.unsupported),
        standalone_question=new.links.standalone_question,
    )


def _moved_span(span: AnswerSpan, answer: MaskedText) -> list[AnswerSpan]:
    """A span of the answer in pieces, so that those without a placeholder still equal their source to the letter."""
    pieces = []
    for start, end, new_start, new_end in answer.pieces(span.answer_start, span.answer_end):
        source = {}
        if span.start is not None:
            first = span.start + start - span.answer_start
            source = {"start": first, "end": first + end - start}
        pieces.append(replace(span, answer_start=new_start, answer_end=new_end, **source))
    return pieces
