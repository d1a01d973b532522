"""The protocol of scorers, and what they judge."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.records import Citation, Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer about to be logged; ``hits`` in the order shown.

    ``question_vector`` is the question's unit vector, by the model ``embedding_model``.
    """

    question: str
    embedding_model: str
    question_vector: NDArray[np.float16]
    citations: tuple[Citation, ...]
    confidence: float
    answerability: float | None
    faithfulness: float | None
    hits: tuple[Hit, ...]


class Scorer(Protocol):
    """Judges one quality. ``version`` is raised whenever its values would change."""

    metric: str
    version: str

    def score(self, judged: Judged) -> float | None:
        """A value from 0 (bad) to 1 (good); None where there is nothing to judge."""
