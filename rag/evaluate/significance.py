"""Whether a difference is more than chance: tests and intervals for figures over the same questions.

Everything random is drawn from a fixed seed, so that the same data give the same p-value.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

NUM_DRAWS = 10_000
"""Random draws of a test or an interval: p-values down to 0.0001 can be told."""
_DRAWS_AT_ONCE = 4_000_000
"""Random numbers in memory at a time."""
LEVEL = 0.05
"""A p-value below this is called significant."""


def mcnemar(num_only_first: int, num_only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test: is one of two ways right more often on the same questions?

    ``num_only_first`` questions were right in the first way alone, ``num_only_second`` in the second alone. Under the
    null hypothesis each of them is as likely as the other (McNemar, 1947; the binomial form of Mosteller, 1952).
    """
    num = num_only_first + num_only_second
    tail = sum(math.comb(num, k) for k in range(min(num_only_first, num_only_second) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**num)))


def paired_randomisation(differences: Sequence[float], *, seed: int = 0, num_draws: int = NUM_DRAWS) -> float:
    """The two-sided p-value of a mean difference of pairs, by approximate randomisation (Noreen, 1989; Yeh, 2000).

    Under the null hypothesis either member of a pair could stand for the other, so signs are drawn at random.
    """
    nonzero = np.array([value for value in differences if value], dtype=np.float64)
    if not len(nonzero):
        return 1.0
    observed, rng = abs(nonzero.sum()) - 1e-9, np.random.default_rng(seed)
    num_extreme = 0
    for num in _batches(num_draws, len(nonzero)):
        signs = rng.integers(0, 2, size=(num, len(nonzero)), dtype=np.int8) * 2.0 - 1
        num_extreme += int((np.abs(signs @ nonzero) >= observed).sum())
    return (num_extreme + 1) / (num_draws + 1)


def groups_against_rest(
    values: Sequence[float], groups: Sequence[Sequence[int]], *, seed: int = 0, num_draws: int = NUM_DRAWS
) -> list[float]:
    """For each group of places, the two-sided p-value of its mean against that of all other values, by permutation
    (Fisher, 1935; Noreen, 1989); 1 for an empty group and for one that holds all.

    Under the null hypothesis the values could have been dealt to the places at random. All groups share the draws.
    """
    all_N, rng = np.array(values, dtype=np.float64), np.random.default_rng(seed)
    num, total = len(all_N), float(all_N.sum())
    sizes = [len(group) for group in groups]
    tested = [at for at, size in enumerate(sizes) if 0 < size < num]

    def difference(sums: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        return np.abs(sums / size - (total - sums) / (num - size))

    observed = {at: difference(all_N[list(groups[at])].sum(keepdims=True), sizes[at])[0] - 1e-9 for at in tested}
    num_extreme = dict.fromkeys(tested, 0)
    for num_rows in _batches(num_draws, num):
        sums = rng.permuted(np.broadcast_to(all_N, (num_rows, num)), axis=1).cumsum(axis=1)
        for at in tested:
            num_extreme[at] += int((difference(sums[:, sizes[at] - 1], sizes[at]) >= observed[at]).sum())
    return [(num_extreme[at] + 1) / (num_draws + 1) if at in num_extreme else 1.0 for at in range(len(groups))]


def mean_interval(
    values: Sequence[float], *, seed: int = 0, num_draws: int = NUM_DRAWS, level: float = LEVEL
) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean (Efron and Tibshirani, 1993), 95% unless ``level`` says otherwise."""
    drawn = np.array(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [
            drawn[rng.integers(0, len(drawn), size=(num, len(drawn)))].mean(axis=1)
            for num in _batches(num_draws, len(drawn))
        ]
    )
    low, high = np.quantile(means, [level / 2, 1 - level / 2])
    return float(low), float(high)


def group_interval(
    statistic: Callable[[NDArray[np.int64]], float | None],
    groups: Sequence[int],
    *,
    seed: int = 0,
    num_draws: int = 1_000,
    level: float = LEVEL,
) -> tuple[float, float] | None:
    """The percentile bootstrap interval of a statistic of rows, whole groups of which are drawn (a cluster bootstrap).

    ``statistic`` takes the places of the rows that were drawn; draws for which it is None are left out. None where all
    are: the statistic needs two kinds of rows, and one of them is too rare.
    """
    members = [np.flatnonzero(np.array(groups) == group) for group in sorted(set(groups))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(num_draws):
        value = statistic(np.concatenate([members[one] for one in rng.integers(0, len(members), size=len(members))]))
        if value is not None:
            values.append(value)
    if not values:
        return None
    low, high = np.quantile(values, [level / 2, 1 - level / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of a family of tests, corrected so that one false alarm in all of them is rare (Holm, 1979)."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def _batches(num_draws: int, num_values: int) -> list[int]:
    """``num_draws`` in parts that fit in memory."""
    most = max(1, _DRAWS_AT_ONCE // max(1, num_values))
    return [min(most, num_draws - first) for first in range(0, num_draws, most)]
