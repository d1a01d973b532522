"""What whoever reads an answer should know of it beside its confidence, a sentence each."""

from collections.abc import Sequence

from rag.records import Citation, Hit
from rag.text.language import LanguageDetector, language_name


def language_notes(
    detector: LanguageDetector, question: str, citations: Sequence[Citation], hits: Sequence[Hit]
) -> tuple[str, ...]:
    """Says that the question, or a passage that the answer cites, is in a language that the models do not know."""
    notes = []
    asked = detector.unknown_language(question)
    if asked is not None:
        notes.append(
            f"The question seems to be in {language_name(asked)}, a language that the models do not know; "
            f"ask in {detector.known_names} for an answer to rely on."
        )
    cited = {citation.passage_id for citation in citations}
    found = {
        (hit.title, language)
        for hit in hits
        if hit.passage_id in cited and (language := detector.unknown_language(hit.text)) is not None
    }
    notes += [
        f"The cited passage of {title} seems to be in {language_name(language)}, a language that the models do not "
        "know; read it yourself."
        for title, language in sorted(found)
    ]
    return tuple(notes)
