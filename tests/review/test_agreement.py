"""Cohen's kappa against figures that were worked out by hand, and which judgements go into it."""

from types import ModuleType

import pytest

from rag.records import Caller
from rag.review.agreement import agreements
from rag.store.answers import add_feedback
from rag.store.database import Database
from rag.store.reviews import Judgement, judged_answer_ids, list_judgements


def judged(both_good: int, only_anna: int, only_ben: int, both_bad: int) -> list[Judgement]:
    pairs = [(1, 1)] * both_good + [(1, -1)] * only_anna + [(-1, 1)] * only_ben + [(-1, -1)] * both_bad
    return [
        Judgement(answer_id=number, reviewer=reviewer, rating=rating)
        for number, ratings in enumerate(pairs)
        for reviewer, rating in zip(("anna", "ben"), ratings, strict=True)
    ]


@pytest.mark.parametrize(
    ("counts", "observed", "expected", "kappa"),
    [
        # 50 answers: alike 35/50; chance 25/50*30/50 + 25/50*20/50 = 0.5; (0.7 - 0.5) / 0.5.
        ((20, 5, 10, 15), 0.7, 0.5, 0.4),
        # 100 answers: alike 60; chance 0.6*0.7 + 0.4*0.3 = 0.54; (0.6 - 0.54) / 0.46.
        ((45, 15, 25, 15), 0.6, 0.54, 0.06 / 0.46),
        # 100 answers, the same share alike but other margins: chance 0.6*0.3 + 0.4*0.7 = 0.46; (0.6 - 0.46) / 0.54.
        ((25, 35, 5, 35), 0.6, 0.46, 0.14 / 0.54),
        ((3, 0, 0, 2), 1.0, 0.52, 1.0),
        ((0, 1, 1, 0), 0.0, 0.5, -1.0),
    ],
)
def test_kappa_by_hand(counts: tuple[int, int, int, int], observed: float, expected: float, kappa: float) -> None:
    (found,) = agreements(judged(*counts))
    assert (found.reviewer, found.other_reviewer, found.num_answers) == ("anna", "ben", sum(counts))
    assert (
        found.num_both_good,
        found.num_only_reviewer_good,
        found.num_only_other_good,
        found.num_both_bad,
    ) == counts
    assert (found.observed, found.expected) == pytest.approx((observed, expected))
    assert found.kappa == pytest.approx(kappa)


@pytest.mark.parametrize("counts", [(7, 0, 0, 0), (0, 0, 0, 3)])
def test_without_any_difference_between_answers_kappa_is_not_defined(counts: tuple[int, int, int, int]) -> None:
    (found,) = agreements(judged(*counts))
    assert (found.observed, found.expected, found.kappa) == (1.0, 1.0, None)


def test_each_two_reviewers_with_an_answer_in_common() -> None:
    found = agreements(
        [
            Judgement(answer_id=1, reviewer="carla", rating=1),
            Judgement(answer_id=1, reviewer="anna", rating=1),
            Judgement(answer_id=1, reviewer="ben", rating=-1),
            Judgement(answer_id=2, reviewer="dora", rating=1),
        ]
    )
    assert [(each.reviewer, each.other_reviewer, each.num_answers) for each in found] == [
        ("anna", "ben", 1),
        ("anna", "carla", 1),
        ("ben", "carla", 1),
    ]
    assert agreements([]) == []


def test_last_review_of_each_reviewer_counts_and_thumbs_do_not(database: Database, review_log: ModuleType) -> None:
    review_log.fill(database)
    with database.write() as session:
        add_feedback(session, 4, rating=-1, is_review=True, user_id="ben")  # ben had said good
        add_feedback(session, 1, rating=-1, user_id="ben")
        add_feedback(session, 5, rating=1, is_review=True)  # nobody's
    with database.read() as session:
        (found,) = agreements(list_judgements(session))
        (tickets,) = agreements(list_judgements(session, collection="tickets"))
        nothing = list_judgements(session, caller=Caller(access_labels=frozenset()))
    # Answers 1, 2 and 9 both good, 4 and 15 both bad, 12 good to anna only: chance (4*3 + 2*3) / 36.
    assert (found.num_both_good, found.num_both_bad, found.num_only_reviewer_good, found.num_only_other_good) == (
        3,
        2,
        1,
        0,
    )
    assert found.kappa == pytest.approx((5 / 6 - 0.5) / 0.5)
    assert (tickets.num_answers, tickets.kappa) == (1, None)
    assert nothing == []


def test_judged_answers_are_those_that_a_reviewer_or_an_asker_judged(
    database: Database, review_log: ModuleType
) -> None:
    review_log.fill(database)
    with database.read() as session:
        assert judged_answer_ids(session) == [1, 2, 4, 9, 12, 15]
        assert judged_answer_ids(session, with_thumbs=True) == [1, 2, 4, 7, 8, 9, 12, 14, 15]
        assert judged_answer_ids(session, collection="tickets") == [9]
        assert judged_answer_ids(session, since=review_log.FIRST_DAY.replace(day=5)) == [12, 15]
