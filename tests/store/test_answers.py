"""The answer log and its review list."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from rag.errors import InvalidInput, NotFound
from rag.records import Citation, DocumentReference, Hit, HitScores
from rag.store import tables
from rag.store.answer_order import AnswerCursor
from rag.store.answer_review import list_answers
from rag.store.answers import NewAnswer, Score, add_feedback, get_answer, insert_answer
from rag.store.datasets import create_dataset
from rag.store.evaluations import start_evaluation

CITATION = Citation(
    passage_id=7,
    document_id=3,
    document_version=2,
    title="Travel",
    source="file:///travel.md",
    origin="synthetic",
    page=4,
    row=None,
    start=10,
    end=21,
    quote="thirty days",
)
HIT = Hit(
    passage_id=7,
    document_id=3,
    document_version=2,
    title="Travel",
    source="file:///travel.md",
    origin="synthetic",
    headings=("Travel", "Costs"),
    page=4,
    row=None,
    start=0,
    end=40,
    text="Hand in receipts within thirty days, else",
    scores=HitScores(keyword=3.25, vector=None, fused=0.1, relevance=1 / 3),
    near_duplicate_of=2,
    also_in=(DocumentReference(document_id=9, title="Copy", source="file:///copy.md", origin="real"),),
)
LATER = replace(HIT, passage_id=8, origin="real", headings=(), page=None, row=5, near_duplicate_of=None, also_in=())
SCORES = (
    Score(metric="answer_relevancy", value=0.75, scorer="reader", scorer_version="1"),
    Score(metric="context_precision", value=0.5, scorer="reader", scorer_version="1"),
    Score(metric="faithfulness", value=1.0, scorer="reader", scorer_version="1"),
)


@pytest.fixture
def log(library: Any) -> Callable[..., int]:
    """Log an answer that differs in the given fields from a usual one; returns its id."""
    usual = NewAnswer(
        collection_id=library.collection_id,
        question="How long do I have to hand in receipts?",
        answer="thirty days",
        abstained=False,
        confidence=0.9,
        citations=(CITATION,),
        passages=(HIT, LATER),
        scores=SCORES,
        timings_ms={"embed": 1.5, "read": 20.25, "total": 30.0},
        model="reader-1",
        model_sha256="abc",
        embedding_model="model",
        index_change_id=12,
        settings={"top_k": 8, "filters": {"team": "sales"}, "abstain_below": None},
    )

    def log(**changed: Any) -> int:
        with library.database.write() as session:
            return insert_answer(session, replace(usual, **changed))

    return log


def test_answer_comes_back_as_it_went_in(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.read() as session:
        logged = get_answer(session, answer_id)
    answer = logged.answer
    assert (answer.id, answer.question) == (answer_id, "How long do I have to hand in receipts?")
    assert (answer.answer, answer.abstained, answer.confidence) == ("thirty days", False, 0.9)
    assert (answer.collection, answer.model) == ("handbooks", "reader-1")
    assert answer.citations == (CITATION,)
    assert answer.passages == (HIT, LATER)
    assert answer.scores == {"answer_relevancy": 0.75, "context_precision": 0.5, "faithfulness": 1.0}
    assert answer.timings_ms == {"embed": 1.5, "read": 20.25, "total": 30.0}
    assert timedelta(0) <= datetime.now(UTC) - answer.created_at < timedelta(minutes=1)
    assert (logged.model_sha256, logged.embedding_model, logged.index_change_id) == ("abc", "model", 12)
    assert logged.settings == {"top_k": 8, "filters": {"team": "sales"}, "abstain_below": None}
    assert logged.scores == SCORES
    assert (logged.collection_id, logged.evaluation_run_id, logged.feedback) == (library.collection_id, None, ())


def test_answer_names_the_dataset_that_it_saw(library: Any, log: Callable[..., int]) -> None:
    library.add_passages(library.add("a"), ["words"])
    before = log(index_change_id=1)
    dataset = create_dataset(library.database, library.collection_id, name="June")
    during, behind = log(index_change_id=1), log(index_change_id=0)
    library.add("b", text_sha256="a", duplicate_of=1)
    after = log(index_change_id=1)
    with library.database.read() as session:
        named = {n: get_answer(session, n) for n in (before, during, behind, after)}
        shown = {row.answer_id: row.dataset for row in list_answers(session)}
    assert {n: logged.dataset_id for n, logged in named.items()} == {
        before: None,
        during: dataset.id,
        behind: None,
        after: None,
    }
    assert shown == {before: None, during: "June", behind: None, after: None}
    assert named[during].dataset == "June"


def test_copies_logged_before_origins_were_have_none(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.write() as session:
        old = '[{"document_id": 9, "title": "Copy", "source": "c"}]'
        session.execute(text("UPDATE answer_passages SET also_in = :old WHERE rank = 1"), {"old": old})
    with library.database.read() as session:
        (copy,) = get_answer(session, answer_id).answer.passages[0].also_in
    assert copy == DocumentReference(document_id=9, title="Copy", source="c", origin=None)


def test_abstention_is_logged_without_citations(library: Any, log: Callable[..., int]) -> None:
    answer_id = log(answer="", abstained=True, citations=(), passages=(), scores=(), timings_ms={}, model_sha256=None)
    with library.database.read() as session:
        answer = get_answer(session, answer_id).answer
        [row] = list_answers(session)
    assert (answer.abstained, answer.citations, answer.passages, answer.scores) == (True, (), (), {})
    assert (row.num_citations, row.num_passages, row.first_quote, row.answer_relevancy, row.total_ms) == (
        0,
        0,
        None,
        None,
        None,
    )


def test_unknown_timings_are_a_mistake_of_the_caller(log: Callable[..., int]) -> None:
    with pytest.raises(ValueError, match="unknown timings: think"):
        log(timings_ms={"think": 1.0})


def test_failed_insert_leaves_no_half_answer(library: Any, log: Callable[..., int]) -> None:
    with pytest.raises(IntegrityError):
        log(citations=(replace(CITATION, end=CITATION.start),))
    with library.database.read() as session:
        assert list_answers(session) == []


def test_feedback_gathers_and_the_last_one_counts(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.write() as session:
        add_feedback(session, answer_id, rating=1, comment="good", user_id="anna")
        add_feedback(session, answer_id, rating=-1, corrected_answer="sixty days")
    with library.database.read() as session:
        feedback = get_answer(session, answer_id).feedback
        [row] = list_answers(session)
    assert [(one.rating, one.comment, one.corrected_answer, one.user_id) for one in feedback] == [
        (1, "good", None, "anna"),
        (-1, None, "sixty days", None),
    ]
    assert (row.rating, row.num_feedback, row.comment, row.corrected_answer) == (-1, 2, None, "sixty days")


def test_review_stands_apart_from_thumbs_and_names_the_wrong_passage(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.write() as session:
        add_feedback(session, answer_id, rating=1)
        add_feedback(session, answer_id, rating=-1, wrong_passage_id=8, is_review=True, user_id="ben")
    with library.database.read() as session:
        thumb, review = get_answer(session, answer_id).feedback
        [row] = list_answers(session)
    assert (thumb.is_review, thumb.wrong_passage_id) == (False, None)
    assert (review.is_review, review.wrong_passage_id) == (True, 8)
    assert (row.num_thumbs_up, row.num_thumbs_down, row.num_reviews) == (1, 0, 1)
    assert (row.is_review, row.wrong_passage_id, row.rated_by, row.rated_at) == (True, 8, "ben", review.created_at)


def test_wrong_passage_is_one_that_was_read(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.write() as session, pytest.raises(InvalidInput, match="not read from passage 99"):
        add_feedback(session, answer_id, rating=-1, wrong_passage_id=99)


@pytest.mark.parametrize("rating", [0, 2, -2, 5])
def test_rating_is_good_or_bad(library: Any, log: Callable[..., int], rating: int) -> None:
    answer_id = log()
    with library.database.write() as session, pytest.raises(InvalidInput, match=f"must be 1 .* not {rating}"):
        add_feedback(session, answer_id, rating=rating)


def test_unknown_answers_are_not_found(library: Any) -> None:
    with library.database.write() as session:
        with pytest.raises(NotFound, match="There is no answer 99"):
            get_answer(session, 99)
        with pytest.raises(NotFound, match="There is no answer 99"):
            add_feedback(session, 99, rating=1)


def test_review_row_is_flat_and_complete(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.read() as session:
        [row] = list_answers(session)
        logged_at = get_answer(session, answer_id).answer.created_at
    assert asdict(row) == {
        "answer_id": answer_id,
        "created_at": logged_at,
        "collection": "handbooks",
        "question": "How long do I have to hand in receipts?",
        "answer": "thirty days",
        "abstained": False,
        "confidence": 0.9,
        "answerability": None,
        "answer_relevancy": 0.75,
        "context_precision": 0.5,
        "faithfulness": 1.0,
        "num_citations": 1,
        "first_quote": "thirty days",
        "first_source": "file:///travel.md",
        "first_title": "Travel",
        "first_origin": "synthetic",
        "num_passages": 2,
        "num_synthetic_citations": 1,
        "num_synthetic_passages": 1,
        "rating": None,
        "comment": None,
        "corrected_answer": None,
        "wrong_passage_id": None,
        "is_review": None,
        "rated_by": None,
        "rated_at": None,
        "num_feedback": 0,
        "num_thumbs_up": 0,
        "num_thumbs_down": 0,
        "num_reviews": 0,
        "model": "reader-1",
        "embedding_model": "model",
        "dataset": None,
        "embed_ms": 1.5,
        "retrieve_ms": None,
        "rerank_ms": None,
        "read_ms": 20.25,
        "score_ms": None,
        "total_ms": 30.0,
    }


def test_later_score_goes_before_an_earlier_one(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.write() as session:
        row = tables.AnswerScore(
            answer_id=answer_id,
            metric="answer_relevancy",
            value=0.25,
            scorer="judge",  # before "reader" in the alphabet
            scorer_version="1",
            created_at=datetime.now(UTC) + timedelta(seconds=1),
        )
        session.add(row)
    with library.database.read() as session:
        assert list_answers(session)[0].answer_relevancy == 0.25
        assert get_answer(session, answer_id).answer.scores["answer_relevancy"] == 0.25


def test_scores_of_one_moment_agree_between_view_and_record(library: Any, log: Callable[..., int]) -> None:
    answer_id = log(scores=(SCORES[0], replace(SCORES[0], scorer="judge", value=0.1)))
    with library.database.read() as session:
        assert list_answers(session)[0].answer_relevancy == 0.75
        assert get_answer(session, answer_id).answer.scores["answer_relevancy"] == 0.75


def test_answers_of_evaluations_are_not_up_for_review(library: Any, log: Callable[..., int]) -> None:
    with library.database.write() as session:
        run_id = start_evaluation(
            session, file="qa.jsonl", file_sha256="x", collection_id=library.collection_id, settings={}
        )
    evaluated, asked = log(evaluation_run_id=run_id), log()
    with library.database.read() as session:
        assert [row.answer_id for row in list_answers(session)] == [asked]
        assert get_answer(session, evaluated).evaluation_run_id == run_id


def test_review_list_is_filtered(library: Any, log: Callable[..., int]) -> None:
    good = log(question="What is 100% sure?", confidence=0.9)
    bad = log(question="Wer zahlt?", answer="Der Chef_x", confidence=0.4)
    silent = log(question="Why?", answer="", abstained=True, citations=(), confidence=0.1)
    moments = {good: 1, bad: 2, silent: 3}
    with library.database.write() as session:
        add_feedback(session, good, rating=1)
        add_feedback(session, bad, rating=1)
        add_feedback(session, bad, rating=-1)
        for answer_id, day in moments.items():
            moment = datetime(2024, 1, day, tzinfo=UTC)
            session.execute(update(tables.Answer).where(tables.Answer.id == answer_id).values(created_at=moment))
    with library.database.read() as session:

        def found(**wanted: Any) -> list[int]:
            return [row.answer_id for row in list_answers(session, **wanted)]

        assert found() == [silent, bad, good]
        assert found(limit=1) == [silent]
        assert found(after=AnswerCursor(value=0.0, answer_id=silent), limit=1) == [bad]
        assert found(abstained=True) == [silent]
        assert found(abstained=False) == [bad, good]
        assert found(min_confidence=0.4) == [bad, good]
        assert found(max_confidence=0.4) == [silent, bad]
        assert found(rating=1) == [good]
        assert found(rating=-1) == [bad]
        assert found(collection="handbooks", contains="WHAT") == [good]
        assert found(collection="tickets") == []
        assert found(contains="chef_X") == [bad]
        assert found(contains="hef_C") == []
        assert found(contains="0%") == [good]
        assert found(contains="' OR 1=1 --") == []
        assert found(since=datetime(2024, 1, 2, tzinfo=UTC)) == [silent, bad]
        assert found(since=datetime(2024, 1, 2)) == [silent, bad]
        assert found(until=datetime(2024, 1, 2, tzinfo=UTC)) == [good]
        with pytest.raises(InvalidInput, match="limit must be at least 1"):
            found(limit=0)
        with pytest.raises(InvalidInput, match="rating must be"):
            found(rating=0)


def test_deleting_an_answer_takes_along_what_belongs_to_it(library: Any, log: Callable[..., int]) -> None:
    answer_id = log()
    with library.database.write() as session:
        add_feedback(session, answer_id, rating=1)
        session.execute(text("DELETE FROM answers"))
        for table in ("answer_passages", "citations", "answer_scores", "feedback"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 0  # noqa: S608
    assert log() > answer_id
