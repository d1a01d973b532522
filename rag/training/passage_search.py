"""Hybrid search over the passages of training examples, as the service searches."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.config import Settings
from rag.index.allowed_ids import AllowedIds
from rag.index.fusion import fuse
from rag.index.keyword import KeywordEntry, KeywordIndex
from rag.text.context import embedded_text
from rag.training.examples import ReaderExamples

Embed = Callable[[Sequence[str]], NDArray[np.float16]]
"""Unit vectors of texts, as ``rag.index.embedder.Embedder.embed`` gives them."""

NUM_CANDIDATES: int = Settings.model_fields["candidates"].default
KEYWORD_WEIGHT: float = Settings.model_fields["keyword_weight"].default
"""Passages that each leg proposes, and the weight of the keyword leg: as in answering."""


class PassageSearch:
    """Passages are named by their places in the examples."""

    def __init__(self, examples: ReaderExamples, embed: Embed) -> None:
        self._index = KeywordIndex()
        self._index.apply(
            add=(KeywordEntry(passage_id=i, context=p.title, text=p.text) for i, p in enumerate(examples.passages))
        )
        self._embed = embed
        texts = [embedded_text(p.title, (), p.text) for p in examples.passages]
        self._vectors_ND = embed(texts).astype(np.float32)
        self._passages = examples.passages

    def search(
        self, questions: Sequence[str], *, limit: int, without_title: str | None = None
    ) -> list[list[tuple[int, float]]]:
        """For each question the ``limit`` best passages with their fused score, best first.

        ``without_title`` leaves out an article, as if it had never been there.
        """
        scores_QN = self._embed(questions).astype(np.float32) @ self._vectors_ND.T
        allowed = None
        if without_title is not None:
            left_out_N = np.array([p.title == without_title for p in self._passages])
            scores_QN[:, left_out_N] = -np.inf
            allowed = AllowedIds.of_mask(~left_out_N)
        found = []
        for question, cosines_N in zip(questions, scores_QN, strict=True):
            num = min(NUM_CANDIDATES, int(np.isfinite(cosines_N).sum()))
            nearest = np.argpartition(-cosines_N, num - 1)[:num]  # in no order: fusing sorts
            keyword = self._index.search(question, limit=NUM_CANDIDATES, allowed=allowed)
            ranking = fuse(
                keyword,
                [(int(i), float(cosines_N[i])) for i in nearest],
                keyword_weight=KEYWORD_WEIGHT,
                cosines={i: float(cosines_N[i]) for i, _ in keyword},
            )
            found.append([(passage, ranking.fused[passage]) for passage in ranking.passage_ids[:limit]])
        return found
