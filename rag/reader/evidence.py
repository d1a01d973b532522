"""Faithfulness of a copied answer: does its passage, read alone, say that just these words answer the question?

A wrong span copied to the letter is not faithful. So the claim that is judged is the question answered by the span, and
the evidence is the passage that it was copied from, whatever other passages say: what the heads say of this pair by
itself, and whether what the question speaks of stands beside the span. A logistic regression over these, fitted to
right answers and to wrong ones from planted passages, makes it a probability. After faithfulness in RAGAS (Es et al.,
2023), which has a language model judge each statement.

On held-out articles these few told as much as more did: missing names and numbers, whether the span is a person, a time
or a number as asked for, words of the question that it repeats, its length.
"""

from rag.reader.decode import ReadPairs, Span
from rag.text.sentences import sentence_spans
from rag.text.words import FUNCTION_WORDS, split_words

EVIDENCE_FEATURES = ("relevance", "margin", "decoder", "near")
"""What faithfulness is computed from: see ``evidence_of``."""
_FLOOR = -20.0
"""A mean log-probability below this is all the same: impossible."""


def evidence_of(question: str, context: str, span: Span, decoder_score: float, read: ReadPairs) -> dict[str, float]:
    """What speaks for a span as the answer to a question, by the names of ``EVIDENCE_FEATURES``.

    ``context`` is the line above its passage; ``decoder_score`` the log-probability of the decoder writing the span.

    relevance: the relevance head's logit. margin: how many nats the start/end head prefers the span to "no answer in
    this passage". decoder: mean log-probability of a token of the span, the decoder's end included; this alone is given
    all passages. near: see ``share_near``.
    """
    encoded, pair = read.encoded, span.pair
    start, end = read.pairs[pair].char_span(span.first, span.last)
    preferred = encoded.start_PL[pair, span.first] + encoded.end_PL[pair, span.last]
    return {
        "relevance": float(encoded.relevance_P[pair]),
        "margin": float(preferred - encoded.start_null_P[pair] - encoded.end_null_P[pair]),
        "decoder": max(decoder_score / (span.last - span.first + 2), _FLOOR),
        "near": share_near(question, context, read.texts[pair], start, end),
    }


def share_near(question: str, context: str, text: str, start: int, end: int) -> float:
    """Of the question's content words, the share that stands in the sentence of the characters ``start:end`` of a
    passage, in the ones beside it, or in the line above the passage; 1 where the question has none."""
    asked = {word.key for word in split_words(question) if word.exact not in FUNCTION_WORDS}
    first, last = _neighbourhood(text, start, end)
    near = {word.key for word in (*split_words(context), *split_words(text, first, last))}
    return len(asked & near) / len(asked) if asked else 1.0


def _neighbourhood(text: str, start: int, end: int) -> tuple[int, int]:
    """From the start of the sentence before the characters ``start:end`` to the end of the one after them."""
    sentences = sentence_spans(text)
    touched = [at for at, (first, last) in enumerate(sentences) if first < end and last > start]
    if not touched:
        return start, end
    return sentences[max(touched[0] - 1, 0)][0], sentences[min(touched[-1] + 1, len(sentences) - 1)][1]
