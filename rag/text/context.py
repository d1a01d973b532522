"""The line above a passage: what a reader, an embedder and a keyword index should know of where it stands."""

from collections.abc import Sequence


def context_line(title: str, headings: Sequence[str]) -> str:
    """The document's title and the headings, each once, outermost first: ``Handbook > Leave > Parental leave``."""
    return " > ".join(dict.fromkeys(part for part in (title.replace("_", " "), *headings) if part))


def embedded_text(title: str, headings: Sequence[str], text: str) -> str:
    """What of a passage is embedded: its words under its context line."""
    return f"{context_line(title, headings)}\n{text}"
