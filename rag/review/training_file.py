"""Reviewed answers as training data, in the format of SQuAD 2.0 (Rajpurkar et al., 2018).

A confirmed answer and a corrected one are found in the passages that were read, to the character; a confirmed
abstention is a question that its best passage does not answer. Beside what the format asks for, a paragraph says its
``origin``, real or synthetic, and its place; a question says from which answer and which judgement it comes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rag.records import Hit, Origin
from rag.store.answers import Feedback, LoggedAnswer

# Digits, and letters of scripts that put blanks between words: Latin, Greek, Cyrillic.
_OF_A_WORD = "[0-9A-Za-z\u00c0-\u024f\u0370-\u052f]"
Judged = Literal["confirmed", "corrected", "unanswerable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A judged answer that nothing can be learned from, and why."""

    answer_id: int
    question: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """What is to be written, and what of the judged answers is in it."""

    squad: Mapping[str, Any]
    num_confirmed: int
    num_corrected: int
    num_unanswerable: int
    num_real: int
    num_synthetic: int
    left_out: tuple[LeftOut, ...]

    @property
    def num_questions(self) -> int:
        """How many questions are in it."""
        return self.num_confirmed + self.num_corrected + self.num_unanswerable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Example:
    answer_id: int
    question: str
    judged: Judged
    passage: Hit
    start: int | None
    end: int | None


def training_file(
    answers: Iterable[LoggedAnswer], *, with_thumbs: bool = False, origin: Origin | None = None
) -> TrainingFile:
    """Make training data of judged answers, oldest first. Of one question over one passage, the last judgement counts.

    Args:
        answers: with their feedback; the last review of each counts.
        with_thumbs: where there is no review, what the asker said counts.
        origin: only questions whose passage is of this origin; the others are left out without a word.
    """
    examples: dict[tuple[str, int, int], _Example] = {}
    left_out: list[LeftOut] = []
    for logged in answers:
        found = _example(logged, with_thumbs=with_thumbs)
        if isinstance(found, str):
            left_out.append(LeftOut(answer_id=logged.answer.id, question=logged.answer.question, reason=found))
        elif origin is None or found.passage.origin == origin:
            words = " ".join(found.question.casefold().split())
            examples[words, found.passage.passage_id, found.passage.document_version] = found
    kept = list(examples.values())
    return TrainingFile(
        squad=_squad(kept),
        num_confirmed=sum(example.judged == "confirmed" for example in kept),
        num_corrected=sum(example.judged == "corrected" for example in kept),
        num_unanswerable=sum(example.judged == "unanswerable" for example in kept),
        num_real=sum(example.passage.origin == "real" for example in kept),
        num_synthetic=sum(example.passage.origin == "synthetic" for example in kept),
        left_out=tuple(left_out),
    )


def locate(words: str, text: str, *, start: int = 0) -> tuple[int, int] | None:
    """Where words stand in a text, whole: the range, or None. From ``start`` on first, then anywhere.

    Blanks and line breaks are alike, and so are upper and lower case where the exact words do not stand there.
    """
    pieces = r"\s+".join(re.escape(piece) for piece in words.split())
    if not pieces:
        return None
    pattern = rf"(?<!{_OF_A_WORD}){pieces}(?!{_OF_A_WORD})"
    for flags in (re.NOFLAG, re.IGNORECASE):
        for begin in dict.fromkeys((start, 0)):
            found = re.compile(pattern, flags).search(text, begin)
            if found is not None:
                return found.span()
    return None


def _example(logged: LoggedAnswer, *, with_thumbs: bool) -> _Example | str:
    """What is to be learned of an answer, or why nothing is."""
    answer, given = logged.answer, _last_word(logged.feedback, with_thumbs=with_thumbs)
    if not answer.question:
        return "It was anonymised."
    if {"question", "answer"} & set(answer.masked):
        return "Personal data was masked in its question or answer."
    if given is None:
        return "It was not judged."
    if given.corrected_answer and given.corrected_answer.strip():
        return _located(logged, given.corrected_answer.strip(), "corrected", wrong=given.wrong_passage_id)
    if given.rating < 0:
        return "It is judged bad, and no corrected answer is given."
    if not answer.abstained:
        return _located(logged, answer.answer, "confirmed", wrong=given.wrong_passage_id)
    if not answer.passages:
        return "It abstained rightly, but had no passage to abstain from."
    return _Example(
        answer_id=answer.id,
        question=answer.searched_question,
        judged="unanswerable",
        passage=answer.passages[0],
        start=None,
        end=None,
    )


def _last_word(feedback: tuple[Feedback, ...], *, with_thumbs: bool) -> Feedback | None:
    reviews = [given for given in feedback if given.is_review]
    if reviews:
        return reviews[-1]
    return feedback[-1] if feedback and with_thumbs else None


def _located(logged: LoggedAnswer, words: str, judged: Judged, *, wrong: int | None) -> _Example | str:
    answer = logged.answer
    cited = {citation.passage_id: citation.start for citation in reversed(answer.citations)}
    # What was cited first, else in the order shown; sorting keeps that order.
    for hit in sorted(answer.passages, key=lambda passage: passage.passage_id not in cited):
        if hit.passage_id == wrong:
            continue
        place = locate(words, hit.text, start=max(0, cited.get(hit.passage_id, hit.start) - hit.start))
        if place is not None:
            return _Example(
                answer_id=answer.id,
                question=answer.searched_question,
                judged=judged,
                passage=hit,
                start=place[0],
                end=place[1],
            )
    which = "corrected answer" if judged == "corrected" else "answer"
    return f"The {which} does not stand in these words in a passage that was read."


def _squad(examples: list[_Example]) -> dict[str, Any]:
    """Documents as articles, passages as paragraphs."""
    articles: dict[tuple[int, str], dict[tuple[int, int], list[_Example]]] = {}
    for example in examples:
        passage = example.passage
        paragraphs = articles.setdefault((passage.document_id, passage.title), {})
        paragraphs.setdefault((passage.document_version, passage.passage_id), []).append(example)
    return {
        "version": "v2.0",
        "data": [
            {"title": title, "paragraphs": [_paragraph(together) for together in paragraphs.values()]}
            for (_, title), paragraphs in articles.items()
        ],
    }


def _paragraph(examples: list[_Example]) -> dict[str, Any]:
    passage = examples[0].passage
    return {
        "context": passage.text,
        "origin": passage.origin,
        "source": passage.source,
        "document_id": passage.document_id,
        "document_version": passage.document_version,
        "start": passage.start,
        "qas": [
            {
                "id": f"answer-{example.answer_id}",
                "question": example.question,
                "is_impossible": example.start is None,
                "answers": []
                if example.start is None
                else [{"text": passage.text[example.start : example.end], "answer_start": example.start}],
                "answer_id": example.answer_id,
                "judged": example.judged,
                "origin": passage.origin,
            }
            for example in examples
        ],
    }
