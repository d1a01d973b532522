"""How well scores tell right from wrong answers: figures by hand, and the shipped reader on a small file."""

import json
from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.evaluate.corpus import build_corpus
from rag.evaluate.scores import ScoredAnswer, _figures, evaluate_scores

TOWNS = {"Lund": ("Elsa", 1911), "Malmo": ("Karl", 1874), "Umea": ("Olga", 1902), "Boras": ("Ivar", 1888)}


def test_figures_are_the_auroc_with_its_interval() -> None:
    answers = [
        ScoredAnswer(number, planted=number % 2 == 0, right=number % 4 != 0, scores={"faithfulness": number % 4 / 4})
        for number in range(60)
    ]
    figures = _figures([*answers, ScoredAnswer(60, planted=False, right=True, scores={})], "faithfulness")
    assert (figures["auroc"], figures["num_answers"], figures["num_right"]) == (1.0, 60, 45)
    assert figures["low"] == figures["high"] == 1.0
    opposite = [ScoredAnswer(a.question, a.planted, not a.right, a.scores) for a in answers]
    assert _figures(opposite, "faithfulness")["auroc"] == 0.0


def test_figures_are_empty_where_all_answers_are_right() -> None:
    answers = [ScoredAnswer(n, planted=False, right=True, scores={"confidence": 0.5}) for n in range(3)]
    assert _figures(answers, "confidence")["auroc"] is None


@pytest.mark.slow
def test_planted_answers_are_wrong_and_told_from_right_ones(sqlite_url: str, tmp_path: Path) -> None:
    data = []
    for number, (town, (person, year)) in enumerate(TOWNS.items()):
        context = f"The mill of {town} is old. It was opened by {person} in {year}. Nobody works at the mill of {town}."
        answers = [{"text": person, "answer_start": context.index(person)}]
        qas = [{"id": str(number), "question": f"Who opened the mill of {town}?", "answers": answers}]
        data.append({"title": town, "paragraphs": [{"context": context, "qas": qas}]})
    path = tmp_path / "towns.json"
    path.write_text(json.dumps({"data": data}))
    done: list[int] = []
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as service:
        corpus = build_corpus(path, ingester=service.ingester, database=service.database, on_progress=lambda _: None)
        found = evaluate_scores(
            service.retriever, service.answerer, corpus, top_k=3, limit=None, seed=0, on_question=done.append
        )
    assert done == [1, 2, 3, 4]
    assert (found["num_questions"], found["right_own_retrieval"], found["right_planted"]) == (4, 1.0, 0.0)
    assert set(found["scores"]) == {
        "answer_relevancy",
        "answerability",
        "confidence",
        "context_precision",
        "faithfulness",
    }
    faithfulness = found["scores"]["faithfulness"]
    assert faithfulness["own_retrieval"]["auroc"] is None
    assert faithfulness["planted"]["auroc"] == 1.0
