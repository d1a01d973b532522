"""Files in SQuAD 1.1 and 2.0 format (Rajpurkar et al., 2016 and 2018): paragraphs, questions, reference answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadParagraph:
    """A paragraph and the article it stands in."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadQuestion:
    """A question; ``paragraph`` is its place in ``SquadFile.paragraphs``. No answers: it cannot be answered there.

    ``answers`` holds (text, start) with ``paragraph.text[start:start + len(text)] == text`` in well-formed files.
    """

    id: str
    question: str
    paragraph: int
    answers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadFile:
    """A whole file."""

    paragraphs: tuple[SquadParagraph, ...]
    questions: tuple[SquadQuestion, ...]


def load_squad(path: Path) -> SquadFile:
    """Read a file in SQuAD 1.1 or 2.0 format.

    Raises:
        InvalidInput: the file is missing or is not in this format; the message says where it goes wrong.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}.") from error
    try:
        return _parse(raw)
    except (KeyError, TypeError, IndexError) as error:
        raise InvalidInput(f"{path} is not in SQuAD format: {type(error).__name__} at {error}.") from error


def _parse(raw: dict[str, Any]) -> SquadFile:
    paragraphs: list[SquadParagraph] = []
    questions: list[SquadQuestion] = []
    for article in raw["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answers = [] if qa.get("is_impossible") else qa["answers"]
                questions.append(
                    SquadQuestion(
                        id=str(qa["id"]),
                        question=qa["question"].strip(),
                        paragraph=len(paragraphs),
                        answers=tuple((a["text"], int(a["answer_start"])) for a in answers),
                    )
                )
            title = str(article.get("title", "")).replace("_", " ")
            paragraphs.append(SquadParagraph(title=title, text=paragraph["context"]))
    return SquadFile(paragraphs=tuple(paragraphs), questions=tuple(questions))
