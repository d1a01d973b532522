"""The questions that a reader is calibrated on: as found, and over planted wrong passages."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rag.reader.evidence import EVIDENCE_FEATURES
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.training.calibration_cases import NUM_PASSAGES, _plant, read_cases
from rag.training.examples import ReaderExamples
from rag.training.passage_search import PassageSearch
from rag.training.squad import SquadFile, SquadParagraph, SquadQuestion


def _embed(texts: Sequence[str]) -> NDArray[np.float16]:
    vectors = np.array([[len(text) % 7 + 1, len(text) % 5 + 1] for text in texts], dtype=np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture
def examples(tokenizer: ReaderTokenizer) -> ReaderExamples:
    paragraphs, questions = [], []
    for number in range(12):
        year = str(1900 + number)
        text = f"Mill {number} stood in Lund. It was opened in {year}. Elsa worked at mill {number}. It is gone."
        answers = ((year, text.index(year)),)
        paragraphs.append(SquadParagraph(title=f"Mills {number % 3}", text=text))
        questions.append(
            SquadQuestion(id=str(number), question=f"When was mill {number} opened?", paragraph=number, answers=answers)
        )
    squad = SquadFile(paragraphs=tuple(paragraphs), questions=tuple(questions))
    return ReaderExamples(squad, tokenizer, max_tokens=100)


def test_right_passage_is_taken_out_or_emptied_by_turns(examples: ReaderExamples) -> None:
    for turn, asked in enumerate(_plant(examples, PassageSearch(examples, _embed), range(12))):
        assert asked.planted
        assert asked.searched
        assert len(asked.passages) == NUM_PASSAGES
        question = examples.questions[asked.question]
        places = [place for place, _ in asked.passages]
        shown = [asked.swapped.get(place, examples.passages[place].text) for place in places]
        assert not any(question.answers[0] in text for text in shown)
        assert (question.passage in places) == (turn % 2 == 1)
        assert set(asked.swapped) == ({question.passage} if turn % 2 else set())
        if turn % 2:
            assert "Elsa worked at mill" in asked.swapped[question.passage]


def test_every_candidate_has_its_evidence(
    examples: ReaderExamples, tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    cases = read_cases(tiny_model, tokenizer, examples, _embed, limit=4, seed=0, dtype=torch.float32, with_gold=False)
    assert sum(case.planted for case in cases) == 4
    assert all(case.searched for case in cases)
    for case in cases:
        assert len(case.evidence) == len(case.candidates)
        assert all(set(evidence) == set(EVIDENCE_FEATURES) for evidence in case.evidence)
    both = read_cases(tiny_model, tokenizer, examples, _embed, limit=4, seed=0, dtype=torch.float32)
    assert sum(not case.searched for case in both) == 4
