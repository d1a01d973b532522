"""Questions for calibration, asked over passages as in use, and what the reader's parts say to each.

Three kinds are mixed: questions over what the search finds for them, the same over passages of other articles only
(off topic), and questions changed so that the passages do not answer them (near misses).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from rag.reader.decode import Candidate, PassageScores, find_candidates, score_passages
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.text.normalize_answer import f1
from rag.training.examples import ReaderExamples
from rag.training.hard_negatives import Embed, PassageSearch
from rag.training.unanswerable import change_question

NUM_PASSAGES = 8
"""As many as an answer reads by default: how sharp the scores are depends on it."""
OFF_TOPIC_SHARE = 0.5
NEAR_MISS_SHARE = 0.2
"""Of the questions, so many are asked a second time in this way."""
NUM_FOUND = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to ask: ``question`` counts in the examples, ``text`` are its words, ``passages`` (place, score)."""

    question: int
    text: str
    passages: Sequence[tuple[int, float]]
    answerable: bool


@dataclass(frozen=True, slots=True)
class Case:
    """What the reader says to one question.

    scores: F1 of each candidate; 0 where the question cannot be answered.
    passages, search_scores, right: for each passage what the heads say, the search's score, and whether it is of the
        paragraph that the question was written for.
    """

    candidates: list[Candidate]
    scores: list[float]
    passages: list[PassageScores]
    search_scores: list[float]
    right: list[bool]
    answerable: bool


def read_cases(
    model: ReaderModel,
    tokenizer: ReaderTokenizer,
    examples: ReaderExamples,
    embed: Embed,
    *,
    limit: int,
    seed: int,
    dtype: torch.dtype,
) -> list[Case]:
    """Ask ``limit`` questions drawn with ``seed``, some of them twice; those without any passage are left out."""
    rng = random.Random(seed)
    questions = rng.sample(range(len(examples.questions)), min(limit, len(examples.questions)))
    search = PassageSearch(examples, embed)
    asked = [one for one in _ask(examples, search, questions, rng) if one.passages]
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)
    with torch.inference_mode(), autocast:
        cases = [_read(model, tokenizer, examples, one) for one in asked]
    return [case for case in cases if case.candidates]


def _ask(
    examples: ReaderExamples, search: PassageSearch, questions: Sequence[int], rng: random.Random
) -> Iterator[Asked]:
    found = search.search([examples.questions[q].question for q in questions], limit=NUM_FOUND)
    for number, passages in zip(questions, found, strict=True):
        question = examples.questions[number]
        own = examples.passages[question.passage]
        yield Asked(number, question.question, passages[:NUM_PASSAGES], answerable=True)
        if rng.random() < OFF_TOPIC_SHARE:
            foreign = [(i, score) for i, score in passages if examples.passages[i].title != own.title]
            yield Asked(number, question.question, foreign[:NUM_PASSAGES], answerable=False)
        if rng.random() < NEAR_MISS_SHARE:
            answer = own.text[question.answer_start : question.answer_end]
            changed = change_question(question.question, own.text, answer, rng)
            if changed is not None:
                (nearest,) = search.search([changed], limit=NUM_PASSAGES)
                yield Asked(number, changed, nearest, answerable=False)


def _read(model: ReaderModel, tokenizer: ReaderTokenizer, examples: ReaderExamples, asked: Asked) -> Case:
    question = examples.questions[asked.question]
    pairs = [examples.pair(asked.question, passage, asked=asked.text) for passage, _ in asked.passages]
    batch = tokenizer.batch(pairs)
    encoded = model.encode(batch)
    memory = model.remember(encoded, batch, torch.arange(len(pairs))[None])
    candidates = find_candidates(model, encoded, batch, memory, tokenizer)
    passages = score_passages(encoded)
    texts = [examples.passages[passage].text for passage, _ in asked.passages]
    scores = []
    for candidate in candidates:
        start, end = pairs[candidate.span.pair].char_span(candidate.span.first, candidate.span.last)
        scores.append(f1(texts[candidate.span.pair][start:end], question.answers) if asked.answerable else 0.0)
    paragraph = examples.passages[question.passage].paragraph
    return Case(
        candidates=candidates,
        scores=scores,
        passages=passages,
        search_scores=[score for _, score in asked.passages],
        right=[asked.answerable and examples.passages[i].paragraph == paragraph for i, _ in asked.passages],
        answerable=asked.answerable,
    )
