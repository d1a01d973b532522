"""Batches of the reader: a fixed number of questions of like length, some with passages that mislead.

Two kinds of passages mislead. Some are others, found for the question by search; some are the question's own, where
either the question was changed so that the passage does not answer it, or the answer was taken out of the passage.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from rag.errors import InvalidInput
from rag.reader.input_format import PairBatch, ReaderPair, ReaderTokenizer, bucket_length
from rag.training.examples import ReaderExamples
from rag.training.unanswerable import change_question, without_answer

RANDOM_NEGATIVE_SHARE = 0.15
"""Share of the other passages drawn at random: the reader must also know what is plainly about other things."""
CHANGED_QUESTION_SHARE = 0.75
"""Share of the near misses in which the question is changed; in the rest the passage is."""
NO_CONTEXT_SHARE = 0.15
"""Share of the pairs without the line of title and headings: not every document has a telling one."""
NO_MARK_SHARE = 0.15
"""Share of the questions without their question mark: people leave it out."""
CHUNK_BATCHES = 64
"""Lengths are sorted within this many batches: enough to save padding, few enough to stay random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What a batch is made of: questions, passages of other questions, near misses; and where long answers end.

    There may be more ``num_negatives`` than questions: each question then gets one, some get a second, and so on.
    """

    num_questions: int = 24
    num_negatives: int = 10
    num_near_misses: int = 8
    max_answer_tokens: int = 31

    def __post_init__(self) -> None:
        if self.num_near_misses > self.num_questions:
            raise InvalidInput(
                f"{self.num_near_misses} near misses are more than the {self.num_questions} questions of a step that "
                "they are made of; ask for fewer, or for more questions."
            )


@dataclass(frozen=True, slots=True)
class ReaderBatch:
    """P pairs of Q questions and what is right about them; the first Q pairs are those with the answers.

    ``pairs_QG`` as in ``ReaderModel.remember``, the right pair first. ``first_P``/``last_P`` are the answer's
    positions in its pair, 0 (the first token) where there is none. The targets hold the answer's tokens and the end
    token, padded with -1; ``position_QT`` where each stands, else -1.
    """

    pairs: PairBatch
    pairs_QG: Tensor
    relevant_P: Tensor
    first_P: Tensor
    last_P: Tensor
    input_QT: Tensor
    copied_from_QT: Tensor
    target_QT: Tensor
    position_QT: Tensor

    def __len__(self) -> int:
        return len(self.pairs_QG)

    def split(self, num_parts: int) -> Sequence[Self]:  # noqa: ARG002
        """The batch as it is: its passages are rivals, so it cannot be cut."""
        return [self]

    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))


class ReaderBatches:
    """The batches of a run, a function of (seed, step)."""

    def __init__(
        self,
        examples: ReaderExamples,
        negatives: Sequence[Sequence[int]],
        tokenizer: ReaderTokenizer,
        *,
        options: BatchOptions,
        seed: int,
    ) -> None:
        """``negatives`` holds the misleading passages of each question. Raises InvalidInput: too few questions."""
        if len(examples.questions) < options.num_questions:
            raise InvalidInput(
                f"{len(examples.questions)} answerable questions are too few: a batch takes {options.num_questions}."
            )
        self._examples, self._negatives, self._tokenizer = examples, negatives, tokenizer
        self._options, self._seed = options, seed
        self._planned: tuple[int, list[list[int]]] = (-1, [])

    def batch(self, step: int) -> ReaderBatch:
        """The batch of a step."""
        num_questions = self._options.num_questions
        epoch, place = divmod(step, len(self._examples.questions) // num_questions)
        if self._planned[0] != epoch:
            planned = plan_batches(self._examples, num_questions=num_questions, seed=self._seed, epoch=epoch)
            self._planned = (epoch, planned)
        return make_batch(
            self._examples,
            self._negatives,
            self._planned[1][place],
            options=self._options,
            rng=random.Random(f"{self._seed}/{step}"),
            tokenizer=self._tokenizer,
        )


def plan_batches(examples: ReaderExamples, *, num_questions: int, seed: int, epoch: int) -> list[list[int]]:
    """The questions of each batch of an epoch: a function of its arguments alone, so that a run can resume."""
    rng = random.Random(f"{seed}/{epoch}")
    order = list(range(len(examples.questions)))
    rng.shuffle(order)
    batches = []
    size = num_questions * CHUNK_BATCHES
    for start in range(0, len(order), size):
        chunk = sorted(order[start : start + size], key=lambda q: examples.length(q, examples.questions[q].passage))
        batches += [chunk[i : i + num_questions] for i in range(0, len(chunk), num_questions)]
    full = [batch for batch in batches if len(batch) == num_questions]
    rng.shuffle(full)
    return full


def make_batch(
    examples: ReaderExamples,
    negatives: Sequence[Sequence[int]],
    questions: Sequence[int],
    *,
    options: BatchOptions,
    rng: random.Random,
    tokenizer: ReaderTokenizer,
) -> ReaderBatch:
    """Put questions, their passages and passages that mislead into tensors."""
    pairs = [_right_pair(examples, q, rng) for q in questions]
    spans = []
    for pair, q in zip(pairs, questions, strict=True):
        asked = examples.questions[q]
        spans.append(pair.token_span(asked.answer_start, asked.answer_end) or (pair.passage_start, pair.passage_start))
    targets = _targets(pairs, spans, tokenizer=tokenizer, max_answer_tokens=options.max_answer_tokens)
    Q = len(questions)
    num_columns = max(1, -(-options.num_negatives // Q))
    pairs_QG = torch.full((Q, 1 + num_columns), -1, dtype=torch.long)
    pairs_QG[:, 0] = torch.arange(Q)
    longest = bucket_length(max(len(pair.ids) for pair in pairs))
    hard = [list(negatives[q]) for q in questions]
    for column in range(num_columns):
        for row in rng.sample(range(Q), min(Q, options.num_negatives - column * Q)):
            passage = _other_passage(examples, hard[row], questions[row], longest=longest, rng=rng)
            hard[row] = [p for p in hard[row] if p != passage]
            pairs_QG[row, 1 + column] = len(pairs)
            pairs.append(examples.pair(questions[row], passage, with_context=rng.random() >= NO_CONTEXT_SHARE))
    for row in rng.sample(range(Q), options.num_near_misses):
        near_miss = _near_miss(examples, questions[row], rng)
        if near_miss is not None and len(near_miss.ids) <= longest:
            pairs.append(near_miss)
    relevant_P = torch.zeros(len(pairs))
    relevant_P[:Q] = 1.0
    borders_P2 = torch.zeros(len(pairs), 2, dtype=torch.long)
    borders_P2[:Q] = torch.tensor(spans)
    first_P, last_P = borders_P2.unbind(1)
    return ReaderBatch(tokenizer.batch(pairs), pairs_QG, relevant_P, first_P, last_P, **targets)


def _right_pair(examples: ReaderExamples, question: int, rng: random.Random) -> ReaderPair:
    asked = examples.questions[question]
    plain = asked.question.rstrip("? ") if rng.random() < NO_MARK_SHARE else None
    return examples.pair(question, asked.passage, asked=plain, with_context=rng.random() >= NO_CONTEXT_SHARE)


def _near_miss(examples: ReaderExamples, question: int, rng: random.Random) -> ReaderPair | None:
    """The question with its own passage, one of them changed so that they no longer fit; None if that fails."""
    asked = examples.questions[question]
    text = examples.passages[asked.passage].text
    answer = text[asked.answer_start : asked.answer_end]
    with_context = rng.random() >= NO_CONTEXT_SHARE
    if rng.random() < CHANGED_QUESTION_SHARE:
        changed = change_question(asked.question, text, answer, rng)
        if changed is not None:
            if rng.random() < NO_MARK_SHARE:
                changed = changed.rstrip("? ")
            return examples.pair(question, asked.passage, asked=changed, with_context=with_context)
    rest = without_answer(text, answer)
    return None if rest is None else examples.pair(question, asked.passage, text=rest, with_context=with_context)


def _other_passage(
    examples: ReaderExamples, hard: Sequence[int], question: int, *, longest: int, rng: random.Random
) -> int:
    """A passage that does not hold the answer, and rather one that does not lengthen the whole batch."""
    own = examples.passages[examples.questions[question].passage].paragraph
    if rng.random() < RANDOM_NEGATIVE_SHARE or not hard:
        drawn = [rng.randrange(len(examples.passages)) for _ in range(8)]
        candidates = [p for p in drawn if examples.passages[p].paragraph != own] or drawn
    else:
        candidates = rng.sample(list(hard), len(hard))
    fitting = [p for p in candidates if examples.length(question, p) <= longest]
    return (fitting or candidates)[0]


def _targets(
    pairs: Sequence[ReaderPair],
    spans: Sequence[tuple[int, int]],
    *,
    tokenizer: ReaderTokenizer,
    max_answer_tokens: int,
) -> dict[str, Tensor]:
    lengths = [min(last - first + 1, max_answer_tokens) for first, last in spans]
    T = -(-(max(lengths) + 1) // 8) * 8  # few shapes: see LENGTH_BUCKET
    shape = (len(pairs), T)
    input_QT = torch.full(shape, tokenizer.pad_id)
    copied_from_QT, target_QT, position_QT = (torch.full(shape, -1) for _ in range(3))
    input_QT[:, 0] = tokenizer.begin_id
    for row, (pair, (first, _), length) in enumerate(zip(pairs, spans, lengths, strict=True)):
        ids = torch.tensor(pair.ids[first : first + length])
        positions = torch.arange(first, first + length)
        input_QT[row, 1 : length + 1] = ids
        copied_from_QT[row, 1 : length + 1] = positions
        target_QT[row, :length] = ids
        target_QT[row, length] = tokenizer.end_id
        position_QT[row, :length] = positions
    return {
        "input_QT": input_QT,
        "copied_from_QT": copied_from_QT,
        "target_QT": target_QT,
        "position_QT": position_QT,
    }
