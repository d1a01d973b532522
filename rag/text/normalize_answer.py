"""Comparing a short answer with reference answers, as the official SQuAD evaluation does.

Source: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), and for questions
without an answer "Know What You Don't Know" (2018), with the evaluation scripts of versions 1.1 and 2.0. They agree
wherever the question has an answer.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(answer: str) -> str:
    """Lower case, without ASCII punctuation, English articles and surplus white space."""
    without_punctuation = answer.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", without_punctuation).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1.0 if the prediction equals one of the references after normalising, else 0.0.

    No references (or only empty ones) mean that the question has no answer: then 1.0 if the prediction is empty.
    """
    normalized = normalize_answer(prediction)
    return float(any(normalized == reference for reference in _normalize_references(references)))


def f1(prediction: str, references: Sequence[str]) -> float:
    """The best F1 over the references, counting shared words after normalising; 0.0 to 1.0.

    No references (or only empty ones) mean that the question has no answer: then 1.0 if the prediction is empty.
    """
    words = normalize_answer(prediction).split()
    return max(word_f1(words, reference.split()) for reference in _normalize_references(references))


def word_f1(words: Sequence[str], reference_words: Sequence[str]) -> float:
    """F1 of the words that two normalised answers share; 1.0 if both are empty."""
    if not words or not reference_words:
        return float(words == reference_words)
    num_shared = (Counter(words) & Counter(reference_words)).total()
    return 2 * num_shared / (len(words) + len(reference_words))


def _normalize_references(references: Sequence[str]) -> list[str]:
    return [normalized for reference in references if (normalized := normalize_answer(reference))] or [""]
