"""Faithfulness of a copied answer: does its passage, read alone, say that just these words answer the question?

A wrong span copied to the letter is not faithful. So the claim that is judged is the question answered by the span, and
the evidence is the passage that it was copied from, whatever other passages say: what the heads say of this pair by
itself, whether what the question speaks of stands around the span, and whether the span is the kind of thing that is
asked for. A logistic regression over these, fitted to right answers and to wrong ones from planted passages, makes it
a probability. After faithfulness in RAGAS (Es et al., 2023), which has a language model judge each statement.
"""

import math
import re
from collections.abc import Iterable

from rag.reader.decode import ReadPairs, Span
from rag.reader.model import NEGATIVE
from rag.text.question_kind import QuestionKind, kind_of
from rag.text.sentences import sentence_spans
from rag.text.words import FUNCTION_WORDS, Word, split_words

EVIDENCE_FEATURES = (
    "relevance", "alone", "margin", "decoder", "near", "around", "names", "kind", "repeats", "length",
)  # fmt: skip
"""What faithfulness is computed from: see ``evidence_of``."""
_FLOOR = -20.0
"""Log-probabilities below this are all the same: impossible."""
_ASKING_WORDS = frozenset(
    word.key
    for word in split_words("many much year date day month century kind type name called long old often happen")
)
"""Stems of words that say what is asked for, not what it is asked about."""
_TIME = re.compile(
    r"\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday|"
    r"wednesday|thursday|friday|saturday|sunday|century|centuries|spring|summer|autumn|fall|winter|morning|evening|"
    r"night|noon|midnight|year|years|month|months|week|weeks|day|days|today|decade|decades|ago|era|period|age)\b",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|millions?|billions?|"
    r"dozens?|half|third|quarter|once|twice|several|few|many|most|majority|none|no|all|every)\b|\d",
    re.IGNORECASE,
)


def evidence_of(question: str, context: str, span: Span, decoder_score: float, read: ReadPairs) -> dict[str, float]:
    """What speaks for a span as the answer to a question, by the names of ``EVIDENCE_FEATURES``.

    ``context`` is the line above its passage; ``decoder_score`` the log-probability of the decoder writing the span.
    See ``heads_alone`` and ``words_alone``.
    """
    start, end = read.pairs[span.pair].char_span(span.first, span.last)
    text = read.texts[span.pair]
    return {**heads_alone(span, decoder_score, read), **words_alone(question, context, text, start, end)}


def words_alone(question: str, context: str, text: str, start: int, end: int) -> dict[str, float]:
    """What the words of the passage ``text``, under its ``context`` line, say of its characters ``start:end``.

    near: share of what the question speaks of that stands in the sentence of the span or the ones beside it. around:
    the same of the whole passage. names: how many of the question's names and numbers are missing there (up to 3).
    kind: 1 if the span is the kind of thing asked for, -1 if not, 0 if that cannot be told. repeats: share of the
    span's words that the question has. length: the logarithm of one more than its number of words.
    """
    asked = [word for word in split_words(question) if word.exact not in FUNCTION_WORDS]
    topic = _keys(asked) - _ASKING_WORDS
    above, words = _keys(split_words(context)), split_words(text)
    first, last = _neighbourhood(text, start, end)
    whole = above | _keys(words)
    near = above | _keys(word for word in words if word.start >= first and word.end <= last)
    answer = [word for word in words if word.start < end and word.end > start]
    own = _keys(word for word in answer if word.exact not in FUNCTION_WORDS)
    missing = _keys(word for word in asked if word.is_number or (word.has_capital and word.start > 0)) - whole
    return {
        "near": len(topic & near) / len(topic) if topic else 1.0,
        "around": len(topic & whole) / len(topic) if topic else 1.0,
        "names": float(min(len(missing), 3)),
        "kind": _kind_met(kind_of(question), text[start:end]),
        "repeats": len(own & topic) / len(own) if own else 0.0,
        "length": math.log1p(len(answer)),
    }


def heads_alone(span: Span, decoder_score: float, read: ReadPairs) -> dict[str, float]:
    """What the network says of a span of one pair, the other pairs left aside.

    relevance: the relevance head's logit. alone: log-probability of start and end among all places of this pair and
    "no answer here". margin: how many nats the span is preferred to the latter. decoder: mean log-probability of a
    token of the span, the decoder's end included, given all pairs (``decoder_score`` is their sum).
    """
    encoded, pair = read.encoded, span.pair
    allowed_L = read.batch.copyable_PL[pair]
    alone = margin = 0.0
    for logits_PL, null_P, place in (
        (encoded.start_PL, encoded.start_null_P, span.first),
        (encoded.end_PL, encoded.end_null_P, span.last),
    ):
        logits_L = logits_PL[pair].float().masked_fill(~allowed_L, NEGATIVE)
        total = float(logits_L.logsumexp(0).logaddexp(null_P[pair].float()))
        alone += float(logits_L[place]) - total
        margin += float(logits_L[place]) - float(null_P[pair])
    return {
        "relevance": float(encoded.relevance_P[pair]),
        "alone": max(alone, _FLOOR),
        "margin": margin,
        "decoder": max(decoder_score / (span.last - span.first + 2), _FLOOR),
    }


def _neighbourhood(text: str, start: int, end: int) -> tuple[int, int]:
    """From the start of the sentence before the characters ``start:end`` to the end of the one after them."""
    sentences = sentence_spans(text)
    touched = [at for at, (first, last) in enumerate(sentences) if first < end and last > start]
    if not touched:
        return start, end
    return sentences[max(touched[0] - 1, 0)][0], sentences[min(touched[-1] + 1, len(sentences) - 1)][1]


def _keys(words: Iterable[Word]) -> set[str]:
    return {word.key for word in words}


def _kind_met(kind: QuestionKind, answer: str) -> float:
    if kind == "when":
        return 1.0 if _TIME.search(answer) else -1.0
    if kind == "how many":
        return 1.0 if _COUNT.search(answer) else -1.0
    if kind in ("who", "where"):
        return 1.0 if any(word.has_capital for word in split_words(answer)) else -1.0
    return 0.0
