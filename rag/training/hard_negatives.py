"""Hard negatives: passages that the project's own search ranks high for a question and that do not hold its answer.

They are what the reader meets in use. Mined once, with keyword and vector search fused as in answering, and stored
beside the other training files.
"""

import hashlib
import json
from pathlib import Path

from rag.text.normalize_answer import normalize_answer
from rag.training.examples import ReaderExamples
from rag.training.passage_search import Embed, PassageSearch

NUM_HARD_NEGATIVES = 8
NUM_SEARCHED = 24
QUESTIONS_AT_ONCE = 2_048


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
