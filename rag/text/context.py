"""The line above a passage: what a reader, an embedder and a keyword index should know of where it stands."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


def context_line(title: str, headings: Sequence[str]) -> str:
    """The document's title and the headings, each once, outermost first: ``Handbook > Leave > Parental leave``."""
    return " > ".join(dict.fromkeys(part for part in (title.replace("_", " "), *headings) if part))


def embedded_text(title: str, headings: Sequence[str], text: str) -> str:
    """What of a passage is embedded: its words under its context line."""
    return f"{context_line(title, headings)}\n{text}"


@dataclass(frozen=True, slots=True)
class EmbeddedPassage:
    """What a passage's vector is made of: one text, or of a repeated passage a text and its document's title.

    ``title`` is empty for all but repeated passages, whose text is the same whatever document they stand in.
    """

    text: str
    title: str = ""
    is_repeated: bool = False

    @property
    def sha256(self) -> str:
        """Its hash (hex). Passages of the same hash have the same vector under one model."""
        return text_sha256(f"{self.text}\x00{self.title}" if self.title else self.text)


def embedded_passage(title: str, headings: Sequence[str], text: str, *, is_repeated: bool) -> EmbeddedPassage:
    """What the vector of a passage is made of.

    The words of a repeated passage stand under their innermost heading only, and that only if it is not the title.
    """
    if not is_repeated:
        return EmbeddedPassage(embedded_text(title, headings, text))
    innermost = [heading for heading in headings[-1:] if heading != title]
    return EmbeddedPassage(embedded_text("", innermost, text), title=context_line(title, ()), is_repeated=True)


def text_sha256(text: str) -> str:
    """SHA-256 (hex) of exactly this text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
