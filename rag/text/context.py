"""The line above a passage: what a reader, an embedder and a keyword index should know of where it stands."""

from collections.abc import Sequence


def context_line(title: str, headings: Sequence[str]) -> str:
    """The document's title and the headings, each once, outermost first: ``Handbook > Leave > Parental leave``."""
    return " > ".join(dict.fromkeys(part for part in (title.replace("_", " "), *headings) if part))


def embedded_text(title: str, headings: Sequence[str], text: str, *, is_repeated: bool = False) -> str:
    """What of a passage is embedded: its words under its context line.

    Of words that many documents repeat the title says nothing, and they are to have one vector: only the innermost
    heading stands above them, and that only if it is not the title.
    """
    if is_repeated:
        title, headings = "", [heading for heading in headings[-1:] if heading != title]
    return f"{context_line(title, headings)}\n{text}"
