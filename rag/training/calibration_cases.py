"""Questions for calibration, asked over passages as in use, and what the reader's parts say to each.

Four kinds are mixed: questions over what the search finds for them, the same over their own passage alone, the same
over passages of other articles only (off topic), and questions changed so that no passage answers them (near misses).
Faithfulness is fitted to the same and to planted wrong passages: the question's own paragraph taken out of what is
searched, or its passage swapped for one without the sentences that hold the answer.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from rag.reader.decode import Candidate, find_candidates, read_pairs, text_of
from rag.reader.evidence import evidence_of
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.reader.row_values import answers_of_rows
from rag.text.context import context_line
from rag.text.normalize_answer import exact_match, f1
from rag.training.examples import ReaderExamples
from rag.training.passage_search import Embed, PassageSearch
from rag.training.unanswerable import change_question, without_answer

NUM_PASSAGES = 8
"""As many as an answer reads by default: how sharp the scores are depends on it."""
OFF_TOPIC_SHARE = 0.5
NEAR_MISS_SHARE = 0.2
"""Of the questions, so many are asked a second time in this way."""
_MOST_OF_PARAGRAPH = 8
"""Passages of one paragraph that may have to be passed over."""
OnQuestion = Callable[[int, int], None]
"""Told how many of how many questions have been asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to ask: ``question`` counts in the examples, ``text`` are its words, ``passages`` (place, score).

    ``searched`` is false where the right passage was given instead of found, ``planted`` true where it was taken away.
    ``swapped`` holds the words that stand in for those of a passage, by its place.
    """

    question: int
    text: str
    passages: Sequence[tuple[int, float]]
    answerable: bool
    searched: bool = True
    planted: bool = False
    swapped: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the reader says to one question.

    exact_match, f1: of each candidate; 0 where the question cannot be answered.
    evidence: of each candidate, see ``rag.reader.evidence``.
    relevance, search_scores, right: for each passage the relevance head's logit, the search's score, and whether it
        is of the paragraph that the question was written for.
    """

    candidates: Sequence[Candidate]
    exact_match: Sequence[float]
    f1: Sequence[float]
    relevance: Sequence[float]
    search_scores: Sequence[float]
    right: Sequence[bool]
    answerable: bool
    searched: bool
    evidence: Sequence[Mapping[str, float]] = ()
    planted: bool = False


def read_cases(
    model: ReaderModel,
    tokenizer: ReaderTokenizer,
    examples: ReaderExamples,
    embed: Embed,
    *,
    limit: int,
    seed: int,
    dtype: torch.dtype,
    on_question: OnQuestion = lambda _done, _total: None,
    with_gold: bool = True,
) -> list[Case]:
    """Ask ``limit`` questions drawn with ``seed``, most of them several times; those without any passage are left out.

    ``on_question`` is told after each how many of all have been asked. ``with_gold``: also over their own passage
    alone.
    """
    rng = random.Random(seed)
    questions = rng.sample(range(len(examples.questions)), min(limit, len(examples.questions)))
    search = PassageSearch(examples, embed)
    asked = [*_ask(examples, search, questions, rng), *_plant(examples, search, questions)]
    asked = [one for one in asked if one.passages and (one.searched or with_gold)]
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)
    cases = []
    with torch.inference_mode(), autocast:
        for number, one in enumerate(asked, start=1):
            cases.append(_read(model, tokenizer, examples, one))
            on_question(number, len(asked))
    return [case for case in cases if case.candidates]


def _ask(
    examples: ReaderExamples, search: PassageSearch, questions: Sequence[int], rng: random.Random
) -> Iterator[Asked]:
    found = search.search([examples.questions[q].question for q in questions], limit=NUM_PASSAGES)
    for number, passages in zip(questions, found, strict=True):
        question = examples.questions[number]
        own = examples.passages[question.passage]
        yield Asked(number, question.question, passages, answerable=True)
        yield Asked(number, question.question, [(question.passage, 1.0)], answerable=True, searched=False)
        if rng.random() < OFF_TOPIC_SHARE:
            (foreign,) = search.search([question.question], limit=NUM_PASSAGES, without_title=own.title)
            yield Asked(number, question.question, foreign, answerable=False)
        if rng.random() < NEAR_MISS_SHARE:
            answer = own.text[question.answer_start : question.answer_end]
            changed = change_question(question.question, own.text, answer, rng)
            if changed is not None:
                (nearest,) = search.search([changed], limit=NUM_PASSAGES)
                yield Asked(number, changed, nearest, answerable=False)


def _plant(examples: ReaderExamples, search: PassageSearch, questions: Sequence[int]) -> Iterator[Asked]:
    """Every question once more over wrong passages: by turns without its own paragraph, and with that emptied of the
    answer. An answer is right here only where another passage happens to hold the same one."""
    found = search.search([examples.questions[q].question for q in questions], limit=NUM_PASSAGES + _MOST_OF_PARAGRAPH)
    for turn, (number, passages) in enumerate(zip(questions, found, strict=True)):
        question = examples.questions[number]
        own = examples.passages[question.passage]
        emptied = without_answer(own.text, own.text[question.answer_start : question.answer_end]) if turn % 2 else None
        others = [(p, score) for p, score in passages if examples.passages[p].paragraph != own.paragraph]
        if emptied is None:
            shown = others[:NUM_PASSAGES]
        else:
            best = max((score for p, score in passages if p == question.passage), default=passages[0][1])
            shown = [(question.passage, best), *others[: NUM_PASSAGES - 1]]
        swapped = {} if emptied is None else {question.passage: emptied}
        yield Asked(number, question.question, shown, answerable=True, planted=True, swapped=swapped)


def _read(model: ReaderModel, tokenizer: ReaderTokenizer, examples: ReaderExamples, asked: Asked) -> Case:
    question = examples.questions[asked.question]
    places, scores = [place for place, _ in asked.passages], [score for _, score in asked.passages]
    pairs = [examples.pair(asked.question, p, asked=asked.text, text=asked.swapped.get(p)) for p in places]
    shown = [asked.swapped.get(place, examples.passages[place].text) for place in places]
    read = read_pairs(model, tokenizer, pairs, shown, scores)
    candidates = answers_of_rows(asked.text, find_candidates(model, read, tokenizer), read)
    texts = [text_of(candidate.span, read) for candidate in candidates]
    paragraph = examples.passages[question.passage].paragraph
    contexts = [context_line(examples.passages[place].title, ()) for place in places]
    return Case(
        candidates=candidates,
        exact_match=[exact_match(text, question.answers) if asked.answerable else 0.0 for text in texts],
        f1=[f1(text, question.answers) if asked.answerable else 0.0 for text in texts],
        relevance=read.encoded.relevance_P.tolist(),
        search_scores=read.search_scores,
        right=[asked.answerable and examples.passages[place].paragraph == paragraph for place in places],
        answerable=asked.answerable,
        searched=asked.searched,
        evidence=[
            evidence_of(asked.text, contexts[one.span.pair], one.span, one.decoder_score, read) for one in candidates
        ],
        planted=asked.planted,
    )
