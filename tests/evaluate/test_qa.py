"""Evaluation with the shipped reader on a file small enough to check by hand."""

import json
from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput
from rag.evaluate.abstention import evaluate_abstention
from rag.evaluate.corpus import Corpus, build_corpus, judged_questions
from rag.evaluate.metrics import gold_rank, mean_reciprocal_rank, share_within
from rag.evaluate.qa import QaEvaluation, QaOptions
from rag.evaluate.retrieval import evaluate_retrieval
from rag.store.answer_review import list_answers
from rag.store.evaluations import get_evaluation, list_results

PARAGRAPHS = [
    ("Support", "The support rota is kept by Amara Diallo since 2019.", "Who keeps the support rota?", "Amara Diallo"),
    ("History", "The company was founded in Lisbon by Maria Costa.", "Where was the company founded?", "Lisbon"),
    ("Machines", "The largest machine is called heron.", "What is the largest machine called?", "heron"),
    ("Machines", "The largest machine is called heron.", "Who painted the machine?", None),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    data = []
    for number, (title, context, question, answer) in enumerate(PARAGRAPHS):
        answers = [{"text": answer, "answer_start": context.index(answer)}] if answer else []
        qa = {"id": str(number), "question": question, "answers": answers, "is_impossible": answer is None}
        data.append({"title": title, "paragraphs": [{"context": context, "qas": [qa]}]})
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"data": data}))
    return path


@pytest.fixture
def service(sqlite_url: str, tmp_path: Path) -> Rag:
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


def _corpus(service: Rag, path: Path) -> Corpus:
    return build_corpus(path, ingester=service.ingester, database=service.database, on_progress=lambda _: None)


def _run(service: Rag, path: Path, **options: object) -> dict[str, object]:
    evaluation = QaEvaluation(
        service.database,
        service.retriever,
        service.answerer,
        _corpus(service, path),
        QaOptions(top_k=3, **options),  # type: ignore[arg-type]
    )
    return evaluation.run(path, on_question=lambda _: None)


def test_figures_are_shares_and_have_the_promised_names(service: Rag, path: Path) -> None:
    metrics = _run(service, path)
    assert metrics["num_questions"] == 4
    assert metrics["hit_at_10"] == 1.0
    assert metrics["citations_verified"] == 1.0
    for name in ("exact_match", "f1", "hit_at_1", "hit_at_5", "mrr_at_10", "abstained"):
        assert 0 <= metrics[name] <= 1  # type: ignore[operator]
    assert set(metrics["latency_ms"]) == {"embed", "retrieve", "read", "score", "total"}  # type: ignore[call-overload]


def test_identical_paragraphs_are_kept_apart(service: Rag, path: Path) -> None:
    corpus = _corpus(service, path)
    assert sorted(corpus.document_ids) == [0, 1, 2, 3]
    assert len(set(corpus.document_ids.values())) == 4


def test_abstention_counts_as_an_empty_answer_and_both_figures_are_given(service: Rag, path: Path) -> None:
    always = _run(service, path, abstain=False)
    shipped = _run(service, path)
    assert always["abstained"] == 0.0
    assert always["exact_match"] == always["always_answering"]["exact_match"]  # type: ignore[index]
    assert shipped["exact_match"] == shipped["with_abstention"]["exact_match"]  # type: ignore[index]
    assert always["with_abstention"] == shipped["with_abstention"]
    assert always["exact_match"] >= 0.5  # type: ignore[operator]


def test_gold_passage_retrieves_nothing(service: Rag, path: Path) -> None:
    metrics = _run(service, path, gold_passage=True, abstain=False)
    assert metrics["hit_at_1"] is None
    assert "retrieve" not in metrics["latency_ms"]  # type: ignore[operator]


def test_answers_of_an_evaluation_stay_out_of_the_review_and_are_kept_with_their_run(service: Rag, path: Path) -> None:
    metrics = _run(service, path)
    with service.database.read() as session:
        assert list_answers(session) == []
        run = get_evaluation(session, metrics["evaluation_run_id"])  # type: ignore[arg-type]
        results = list_results(session, run.id)
    assert run.metrics == metrics
    assert [result.question_id for result in results] == ["0", "1", "2", "3"]
    assert results[3].reference_answers == ()


def test_sample_is_the_same_for_the_same_seed(service: Rag, path: Path) -> None:
    corpus = _corpus(service, path)

    def sample(seed: int) -> list[str]:
        options = QaOptions(top_k=3, limit=2, seed=seed)
        evaluation = QaEvaluation(service.database, service.retriever, service.answerer, corpus, options)
        return [question.id for question in evaluation.questions]

    assert sample(1) == sample(1)
    assert len(sample(1)) == 2
    assert {tuple(sample(seed)) for seed in range(8)} != {tuple(sample(1))}


def test_confidence_figures_stand_beside_the_answers(service: Rag, path: Path) -> None:
    confidence = _run(service, path)["confidence"]
    assert sum(one["num"] for one in confidence["bins"]) == 4  # type: ignore[index]
    assert 0 <= confidence["expected_calibration_error"] <= 1  # type: ignore[index]
    assert confidence["auroc_answerable"] == 1.0  # type: ignore[index]
    by_halves = confidence["threshold_by_halves"]  # type: ignore[index]
    assert 1 <= by_halves["num_questions"] <= 3


def test_questions_of_another_file_are_withheld(service: Rag, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    qas = [{"id": "x", "question": "How deep is the lake of Como?", "answers": [{"text": "425 m", "answer_start": 0}]}]
    other.write_text(json.dumps({"data": [{"title": "T", "paragraphs": [{"context": "425 m deep.", "qas": qas}]}]}))
    metrics = evaluate_abstention(
        service.retriever,
        service.answerer,
        _corpus(service, path),
        other,
        top_k=3,
        limit=None,
        seed=0,
        on_question=lambda _: None,
        share_unanswerable=0.2,
    )
    confidence = metrics.pop("confidence")
    assert confidence["share_unanswerable"] == 0.2
    assert sum(one["num"] for one in confidence["bins"]) == 4
    # The three answers are right, the other file's question is not, though its file has an answer.
    assert sum(one["weight"] * one["share_right"] for one in confidence["bins"]) == pytest.approx(0.8)
    assert confidence["auroc_right"] == 1.0
    assert 0 <= confidence["expected_calibration_error"] <= 1
    assert metrics == {
        "auroc": 1.0,
        "withheld_answerable": 0.0,
        "withheld_other": 1.0,
        "num_answerable": 3,
        "num_other": 1,
    }


def test_file_without_questions_is_refused(service: Rag, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text(json.dumps({"data": [{"title": "T", "paragraphs": [{"context": "Words.", "qas": []}]}]}))
    with pytest.raises(InvalidInput, match="no questions"):
        _run(service, path)


def test_retrieval_is_measured_for_each_mode(service: Rag, path: Path) -> None:
    corpus = _corpus(service, path)
    queries = judged_questions(corpus, corpus.squad.questions[:2])
    done: list[int] = []
    metrics = evaluate_retrieval(service.retriever, corpus.collection.name, queries, on_query=done.append)
    assert set(metrics) == {"hybrid", "keyword", "vector", "reranked"}
    assert metrics["hybrid"]["hit_at_1"] == metrics["reranked"]["ndcg_at_10"] == 1.0
    assert done == list(range(1, 9))


def test_ranks_become_shares() -> None:
    ranks = [1, 2, None, 10, 11]
    assert (share_within(ranks, 1), share_within(ranks, 10)) == (0.2, 0.6)
    assert mean_reciprocal_rank(ranks, 10) == pytest.approx((1 + 1 / 2 + 1 / 10) / 5)
    assert (share_within([], 1), mean_reciprocal_rank([], 10)) == (0.0, 0.0)
    assert gold_rank([], 1) is None
