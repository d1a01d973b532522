"""How far two reviewers agree: Cohen's kappa."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rag.store.reviews import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How two reviewers judged the ``num_answers`` answers that both judged.

    observed: the share that they judged alike. expected: the share that they would judge alike by chance, if each said
    good as often as they did. kappa: (observed - expected) / (1 - expected); 1 is full agreement, 0 no more than by
    chance; None where both only ever said one same thing.
    """

    reviewer: str
    other_reviewer: str
    num_answers: int
    num_both_good: int
    num_both_bad: int
    num_only_reviewer_good: int
    num_only_other_good: int
    observed: float
    expected: float
    kappa: float | None


def agreements(judgements: Sequence[Judgement]) -> list[Agreement]:
    """Each two reviewers who judged an answer in common, by name. One judgement for each answer and reviewer.

    After Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960).
    """
    of_answer: dict[int, dict[str, int]] = defaultdict(dict)
    for judgement in judgements:
        of_answer[judgement.answer_id][judgement.reviewer] = judgement.rating
    pairs: dict[tuple[str, str], Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for ratings in of_answer.values():
        for one, other in combinations(sorted(ratings), 2):
            pairs[one, other][ratings[one] > 0, ratings[other] > 0] += 1
    return [_agreement(*names, counts) for names, counts in sorted(pairs.items())]


def _agreement(reviewer: str, other: str, counts: Counter[tuple[bool, bool]]) -> Agreement:
    both_good, both_bad = counts[True, True], counts[False, False]
    only_one, only_other = counts[True, False], counts[False, True]
    num = both_good + both_bad + only_one + only_other
    good, other_good = both_good + only_one, both_good + only_other
    # As one division of whole numbers: that chance explains all of it is then seen exactly.
    by_chance = good * other_good + (num - good) * (num - other_good)
    observed, expected = (both_good + both_bad) / num, by_chance / num**2
    return Agreement(
        reviewer=reviewer,
        other_reviewer=other,
        num_answers=num,
        num_both_good=both_good,
        num_both_bad=both_bad,
        num_only_reviewer_good=only_one,
        num_only_other_good=only_other,
        observed=observed,
        expected=expected,
        kappa=None if by_chance == num**2 else (observed - expected) / (1 - expected),
    )
