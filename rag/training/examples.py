"""Training examples of the reader: questions with their passages, tokenized once."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding

from rag.reader.input_format import ReaderPair, ReaderTokenizer
from rag.records import Section
from rag.text.context import context_line
from rag.text.split import split_passages
from rag.training.squad import SquadFile


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPassage:
    """A passage of a paragraph: ``paragraph.text[start:start + len(text)] == text``."""

    paragraph: int
    title: str
    start: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingQuestion:
    """A question whose answer stands at characters ``answer_start:answer_end`` of ``passages[passage]``."""

    question: str
    answers: tuple[str, ...]
    passage: int
    answer_start: int
    answer_end: int


class ReaderExamples:
    """All passages and answerable questions of a SQuAD file, split as ingestion splits, tokenized once."""

    def __init__(self, squad: SquadFile, tokenizer: ReaderTokenizer, *, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self.passages: list[TrainingPassage] = []
        passages_of: list[list[int]] = []
        for number, paragraph in enumerate(squad.paragraphs):
            section = Section(start=0, end=len(paragraph.text))
            pieces = split_passages(
                paragraph.text, [section], count_tokens=tokenizer.count_tokens, max_tokens=max_tokens
            )
            first = len(self.passages)
            passages_of.append(list(range(first, first + len(pieces))))
            self.passages += [
                TrainingPassage(paragraph=number, title=paragraph.title, start=piece.start, text=piece.text)
                for piece in pieces
            ]
        self.questions: list[TrainingQuestion] = []
        self.num_skipped = 0
        for asked in squad.questions:
            if asked.answers:
                self._add(asked.question, asked.answers, passages_of[asked.paragraph])
        self._passage_tokens: list[Encoding] = tokenizer.encode([p.text for p in self.passages])
        self._context_tokens: list[Encoding] = tokenizer.encode([context_line(p.title, ()) for p in self.passages])
        self._question_tokens: list[Encoding] = tokenizer.encode([q.question for q in self.questions])

    def _add(self, question: str, answers: tuple[tuple[str, int], ...], candidates: Sequence[int]) -> None:
        text, start = answers[0]
        for number in candidates:
            passage = self.passages[number]
            a = start - passage.start
            if a >= 0 and passage.text[a : a + len(text)] == text:
                self.questions.append(
                    TrainingQuestion(
                        question=question,
                        answers=tuple(t for t, _ in answers),
                        passage=number,
                        answer_start=a,
                        answer_end=a + len(text),
                    )
                )
                return
        self.num_skipped += 1

    def pair(
        self,
        question: int,
        passage: int,
        *,
        asked: str | None = None,
        text: str | None = None,
        with_context: bool = True,
    ) -> ReaderPair:
        """The tokens of a question with any passage; ``asked`` and ``text`` stand in for their words."""
        return self._tokenizer.pair(
            self._question_tokens[question].ids if asked is None else self._tokenizer.encode([asked])[0].ids,
            self._context_tokens[passage].ids if with_context else (),
            self._passage_tokens[passage] if text is None else self._tokenizer.encode([text])[0],
            self.passages[passage].text if text is None else text,
        )

    def length(self, question: int, passage: int) -> int:
        """About how many tokens that pair has."""
        return (
            len(self._question_tokens[question])
            + len(self._context_tokens[passage])
            + len(self._passage_tokens[passage])
            + 4
        )


def split_by_article(squad: SquadFile, *, share: float, seed: int) -> tuple[SquadFile, SquadFile]:
    """Keep back ``share`` of the articles (by title): (the rest, those kept back)."""
    titles = sorted({paragraph.title for paragraph in squad.paragraphs})
    random.Random(seed).shuffle(titles)
    kept = set(titles[: max(1, round(share * len(titles)))])
    return _only(squad, set(titles) - kept), _only(squad, kept)


def _only(squad: SquadFile, titles: set[str]) -> SquadFile:
    numbers = [i for i, paragraph in enumerate(squad.paragraphs) if paragraph.title in titles]
    new = {old: i for i, old in enumerate(numbers)}
    questions = [q for q in squad.questions if q.paragraph in new]
    return SquadFile(
        paragraphs=tuple(squad.paragraphs[i] for i in numbers),
        questions=tuple(
            type(q)(id=q.id, question=q.question, paragraph=new[q.paragraph], answers=q.answers) for q in questions
        ),
    )
