"""From characters of a passage to a citation of its document."""

from collections.abc import Sequence

from rag.records import AnswerSpan, Citation, Hit


def cite(hit: Hit, start: int, end: int) -> Citation:
    """The citation of ``hit.text[start:end]``."""
    return Citation(
        passage_id=hit.passage_id,
        document_id=hit.document_id,
        document_version=hit.document_version,
        title=hit.title,
        source=hit.source,
        origin=hit.origin,
        page=hit.page,
        row=hit.row,
        start=hit.start + start,
        end=hit.start + end,
        quote=hit.text[start:end],
    )


def fill_spans(copied: Sequence[AnswerSpan], length: int) -> tuple[AnswerSpan, ...]:
    """The copied spans, ascending and apart, with what the model wrote between them: all of ``length`` characters."""
    spans, at = [], 0
    for span in copied:
        assert at <= span.answer_start < span.answer_end <= length
        if at < span.answer_start:
            spans.append(AnswerSpan(answer_start=at, answer_end=span.answer_start))
        spans.append(span)
        at = span.answer_end
    if at < length:
        spans.append(AnswerSpan(answer_start=at, answer_end=length))
    return tuple(spans)
