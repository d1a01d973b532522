"""Tests and intervals, against values worked out by hand or by plain enumeration."""

import random
from itertools import product

import numpy as np
import pytest

from rag.evaluate.significance import (
    group_interval,
    groups_against_rest,
    holm,
    mcnemar,
    mean_interval,
    paired_randomisation,
)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (1, 7, 2 * 9 / 256), (4, 4, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(only_first: int, only_second: int, p_value: float) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p_value)


def test_mcnemar_of_thousands_of_questions_is_finite() -> None:
    assert 0 < mcnemar(3_000, 2_700) < 0.001


def test_randomisation_comes_near_to_all_sign_changes_counted() -> None:
    differences = [0.5, -0.2, 1.0, 0.3, 0.0, 0.8, -0.1, 0.4]
    nonzero = [value for value in differences if value]
    sums = [abs(sum(s * v for s, v in zip(signs, nonzero, strict=True))) for signs in product((-1, 1), repeat=7)]
    exact = sum(one >= abs(sum(nonzero)) - 1e-9 for one in sums) / len(sums)
    assert paired_randomisation(differences) == pytest.approx(exact, abs=0.015)
    assert paired_randomisation(differences) == paired_randomisation(differences)
    assert paired_randomisation([0.0, 0.0]) == 1.0


def test_randomisation_seldom_cries_where_there_is_no_difference() -> None:
    rng = random.Random(0)
    p_values = [
        paired_randomisation([rng.choice((-1.0, 0.0, 1.0)) for _ in range(60)], num_draws=400) for _ in range(200)
    ]
    assert sum(p < 0.05 for p in p_values) <= 20
    assert sum(p < 0.5 for p in p_values) >= 60


def test_group_that_is_worse_is_told_from_groups_that_are_not() -> None:
    rng = random.Random(0)
    values = [float(rng.random() < (0.3 if place < 40 else 0.8)) for place in range(200)]
    groups = [list(range(40)), list(range(40, 80)), [], list(range(200))]
    worse, like_the_rest, empty, all_of_them = groups_against_rest(values, groups, num_draws=1_000)
    assert worse == pytest.approx(1 / 1_001)
    assert like_the_rest > 0.01
    assert (empty, all_of_them) == (1.0, 1.0)


def test_interval_of_a_mean_holds_it_and_narrows_with_more_values() -> None:
    rng = random.Random(0)
    few, many = ([rng.gauss(2, 1) for _ in range(num)] for num in (20, 2_000))
    low, high = mean_interval(few)
    assert low < sum(few) / len(few) < high
    narrow_low, narrow_high = mean_interval(many)
    assert narrow_low < 2 < narrow_high
    assert narrow_high - narrow_low < (high - low) / 5
    assert mean_interval([1.0] * 5) == (1.0, 1.0)


def test_interval_of_groups_draws_whole_groups() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    seen: set[float] = set()

    def mean(places: np.ndarray) -> float:
        seen.add(float(values[places].mean()))
        return float(values[places].mean())

    assert group_interval(mean, [7, 7, 8, 8], num_draws=200) == (0.0, 1.0)
    assert seen == {0.0, 0.5, 1.0}
    assert group_interval(lambda _: None, [1, 2], num_draws=5) is None


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
