"""Hard negatives: passages that the project's own search ranks high for a question and that do not hold its answer.

They are what the reader meets in use. Mined once, with keyword and vector search fused as in answering, and stored
beside the other training files.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.index.fusion import fuse
from rag.index.keyword import KeywordEntry, KeywordIndex
from rag.text.context import context_line
from rag.text.normalize_answer import normalize_answer
from rag.training.examples import ReaderExamples

Embed = Callable[[Sequence[str]], NDArray[np.float16]]
"""Unit vectors of texts, as ``rag.index.embedder.Embedder.embed`` gives them."""

NUM_HARD_NEGATIVES = 8
NUM_SEARCHED = 24
NUM_CANDIDATES = 100
"""Passages that each leg proposes, as in answering."""
KEYWORD_WEIGHT = 0.4
QUESTIONS_AT_ONCE = 2_048


class PassageSearch:
    """Hybrid search over the examples' passages, as the service searches; passages are named by their places."""

    def __init__(self, examples: ReaderExamples, embed: Embed) -> None:
        self._index = KeywordIndex()
        self._index.apply(
            add=(
                KeywordEntry(passage_id=i, document_id=p.paragraph, context=p.title, text=p.text)
                for i, p in enumerate(examples.passages)
            )
        )
        self._embed = embed
        texts = [f"{context_line(p.title, ())}\n{p.text}" for p in examples.passages]
        self._vectors_ND = embed(texts).astype(np.float32)

    def search(self, questions: Sequence[str], *, limit: int) -> list[list[tuple[int, float]]]:
        """For each question the ``limit`` best passages with their fused score, best first."""
        scores_QN = self._embed(questions).astype(np.float32) @ self._vectors_ND.T
        num = min(NUM_CANDIDATES, scores_QN.shape[1])
        found = []
        for question, cosines_N in zip(questions, scores_QN, strict=True):
            nearest = np.argpartition(-cosines_N, num - 1)[:num]
            keyword = self._index.search(question, limit=NUM_CANDIDATES)
            fused = fuse(
                keyword,
                [(int(i), float(cosines_N[i])) for i in nearest],
                keyword_weight=KEYWORD_WEIGHT,
                cosines={i: float(cosines_N[i]) for i, _ in keyword},
            )
            found.append([(passage, scores.fused or 0.0) for passage, scores in fused[:limit]])
        return found


def mine_hard_negatives(examples: ReaderExamples, embed: Embed, folder: Path) -> list[list[int]]:
    """For each question up to ``NUM_HARD_NEGATIVES`` misleading passages, best ranked first; stored in ``folder``."""
    identity = json.dumps([len(examples.passages), [(q.question, q.passage) for q in examples.questions]])
    path = folder / f"hard-negatives-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    if path.is_file():
        stored: list[list[int]] = json.loads(path.read_text(encoding="utf-8"))
        return stored
    search = PassageSearch(examples, embed)
    normalized = [f" {normalize_answer(p.text)} " for p in examples.passages]
    negatives: list[list[int]] = []
    for start in range(0, len(examples.questions), QUESTIONS_AT_ONCE):
        asked = examples.questions[start : start + QUESTIONS_AT_ONCE]
        found = search.search([q.question for q in asked], limit=NUM_SEARCHED)
        for question, places in zip(asked, found, strict=True):
            answers = [f" {normalize_answer(a)} " for a in question.answers]
            negatives.append(
                [i for i, _ in places if i != question.passage and not any(a in normalized[i] for a in answers)][
                    :NUM_HARD_NEGATIVES
                ]
            )
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(negatives), encoding="utf-8")
    temporary.replace(path)
    return negatives
