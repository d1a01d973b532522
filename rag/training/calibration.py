"""Fitting what turns scores into answers, confidences and abstentions, on articles the model was not trained on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from rag.reader.confidence import (
    FEATURES,
    ScoringWeights,
    confidence_of,
    features_of,
    rank_candidates,
)
from rag.reader.decode import Candidate, find_candidates
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.text.normalize_answer import f1
from rag.training.examples import ReaderExamples
from rag.training.hard_negatives import keyword_index_of

NUM_PASSAGES = 8
"""As many as an answer reads by default: how sharp the scores are depends on it."""
RIGHT_F1 = 0.5
"""An answer counts as right when at least half of it, by token F1, is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What ``ReaderConfig`` stores, and the mean F1 that the weights reach on the calibration questions."""

    scoring: dict[str, float]
    calibration: dict[str, float]
    abstain_below: float
    mean_f1: float


@dataclass(frozen=True, slots=True)
class _Case:
    candidates: list[Candidate]
    scores: list[float]  # F1 of each candidate; 0 where the question is off topic
    answerable: bool


def calibrate(
    model: ReaderModel, tokenizer: ReaderTokenizer, examples: ReaderExamples, *, limit: int, seed: int
) -> Calibration:
    """Fit on ``limit`` questions, each asked twice: over what keyword search finds, and over other articles only."""
    rng = random.Random(seed)
    questions = rng.sample(range(len(examples.questions)), min(limit, len(examples.questions)))
    index = keyword_index_of(examples)
    cases = []
    for number in questions:
        own = examples.passages[examples.questions[number].passage].title
        found = [i for i, _ in index.search(examples.questions[number].question, limit=200)]
        foreign = [i for i in found if examples.passages[i].title != own]
        cases.append(_read(model, tokenizer, examples, number, found[:NUM_PASSAGES], answerable=True))
        if foreign:
            cases.append(_read(model, tokenizer, examples, number, foreign[:NUM_PASSAGES], answerable=False))
    cases = [case for case in cases if case.candidates]
    weights, mean_f1 = _fit_weights(cases)
    calibration = _fit_confidence(cases, weights)
    return Calibration(
        scoring={"decoder": weights.decoder, "relevance": weights.relevance},
        calibration=calibration,
        abstain_below=_fit_threshold(cases, weights, calibration),
        mean_f1=mean_f1,
    )


def _read(
    model: ReaderModel,
    tokenizer: ReaderTokenizer,
    examples: ReaderExamples,
    question: int,
    passages: Sequence[int],
    *,
    answerable: bool,
) -> _Case:
    if not passages:
        return _Case([], [], answerable)
    pairs = [examples.pair(question, passage) for passage in passages]
    batch = tokenizer.batch(pairs)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        encoded = model.encode(batch)
        memory = model.remember(encoded, batch, torch.arange(len(pairs))[None])
        candidates = find_candidates(model, encoded, batch, memory, tokenizer)
    scores = []
    for candidate in candidates:
        start, end = pairs[candidate.span.pair].char_span(candidate.span.first, candidate.span.last)
        text = examples.passages[passages[candidate.span.pair]].text[start:end]
        scores.append(f1(text, examples.questions[question].answers) if answerable else 0.0)
    return _Case(candidates, scores, answerable)


def _best(case: _Case, weights: ScoringWeights) -> int:
    return max(range(len(case.candidates)), key=lambda i: weights.total(case.candidates[i]))


def _fit_weights(cases: Sequence[_Case]) -> tuple[ScoringWeights, float]:
    answerable = [case for case in cases if case.answerable]
    best, best_f1 = ScoringWeights(), -1.0
    for decoder in (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5):
        for relevance in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
            weights = ScoringWeights(decoder=decoder, relevance=relevance)
            mean = sum(case.scores[_best(case, weights)] for case in answerable) / len(answerable)
            if mean > best_f1:
                best, best_f1 = weights, mean
    return best, best_f1


def _top_features(case: _Case, weights: ScoringWeights) -> dict[str, float]:
    candidate, posterior = rank_candidates(case.candidates, weights)[0]
    return features_of(candidate, posterior)


def _fit_confidence(cases: Sequence[_Case], weights: ScoringWeights) -> dict[str, float]:
    rows = [_top_features(case, weights) for case in cases]
    x = torch.tensor([[row[name] for name in FEATURES] for row in rows], dtype=torch.float64)
    y = torch.tensor([float(case.scores[_best(case, weights)] >= RIGHT_F1) for case in cases], dtype=torch.float64)
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    w = torch.zeros(len(FEATURES) + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits((x - mean) / deviation @ w[1:] + w[0], y) + 1e-4 * w.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    slopes = w.detach()[1:] / deviation
    fitted = {name: round(float(slope), 6) for name, slope in zip(FEATURES, slopes, strict=True)}
    return {"bias": round(float(w.detach()[0] - (slopes * mean).sum()), 6), **fitted}


def _fit_threshold(cases: Sequence[_Case], weights: ScoringWeights, calibration: dict[str, float]) -> float:
    """The confidence under which withholding pays: mean F1 over both kinds, an abstention being right off topic."""
    judged = [
        (confidence_of(_top_features(case, weights), calibration), case.scores[_best(case, weights)], case.answerable)
        for case in cases
    ]

    def value(threshold: float) -> float:
        return sum(
            score if confidence >= threshold else float(not answerable) for confidence, score, answerable in judged
        )

    return max((step / 100 for step in range(100)), key=value)
