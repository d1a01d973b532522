"""How things are put into words for a terminal."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich.text import Text

from rag.records import Answer, Citation, Hit, Origin
from rag.text.sentences import sentence_spans


def short_source(source: str) -> str:
    """A source as people write it: a file's path, relative to the current folder when it lies below it."""
    if not source.startswith("file://"):
        return source
    parts = urlsplit(source)
    path, fragment = Path(unquote(parts.path)), f"#{parts.fragment}" if parts.fragment else ""
    try:
        return f"{path.relative_to(Path.cwd())}{fragment}"
    except ValueError:
        return f"{path}{fragment}"


def place(record: Citation | Hit) -> str:
    """Page or row, where there is one."""
    if record.page is not None:
        return f"page {record.page}"
    return f"row {record.row}" if record.row is not None else ""


def synthetic(origin: Origin | None, *, before: str = "") -> str:
    """A word of warning where a document was made up; ``before`` stands before it, if there is one."""
    return f"{before}[synthetic]" if origin == "synthetic" else ""


def confidence(answer: Answer) -> str:
    """How sure the answer is, and in which sense; of a withheld one, that it is about what is not shown."""
    words = f"{answer.confidence:.0%} {'supported' if answer.confidence_kind == 'support' else 'confidence'}"
    return f"the best guess is withheld: {words}" if answer.abstained else words


def quote_in_sentence(citation: Citation, hits: tuple[Hit, ...], *, styled: bool) -> Text:
    """The sentences around a quote with the quote marked: underlined, or between «» where nothing can be."""
    hit = next((hit for hit in hits if hit.passage_id == citation.passage_id), None)
    if hit is None:
        return Text(citation.quote)
    start, end = citation.start - hit.start, citation.end - hit.start
    touched = [(a, b) for a, b in sentence_spans(hit.text) if a < end and b > start] or [(start, end)]
    first, last = min(touched[0][0], start), max(touched[-1][1], end)
    quote = Text(hit.text[start:end], style="bold underline") if styled else Text(f"«{hit.text[start:end]}»")
    around = Text.assemble(hit.text[first:start], quote, hit.text[end:last])
    return Text(" ").join(around.split())
