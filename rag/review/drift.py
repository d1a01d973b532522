"""What has changed from one period to the next, told apart from chance."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.stats import mannwhitneyu

from rag.store.usage import SCORES, PeriodValues

SIGNIFICANT = 0.05
"""Differences that chance would make less often than this, of all measures together, are not put down to it."""
SMALL_SHARE = 0.05
"""A share that moved by less is not worth a flag, however surely it moved."""
SMALL_EFFECT = 0.56
"""The probability that a value of one period is above one of the other, below which the difference is small: the
border that Vargha and Delaney (2000) draw for their measure A."""
MIN_VALUES = 20
"""With fewer values in a period the tests, which take the normal distribution for granted, say little."""

Test = Literal["two-proportion z", "Mann-Whitney U"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One measure in two periods.

    before, after: the share (answer_rate, thumbs_up_rate) or the median; None without values. statistic: z or U.
    effect: the difference of the shares, or the probability that a value of the later period is above one of the
    earlier, ties counted half. p_value: of the test alone, two-sided; adjusted_p_value: with all measures taken
    together. None where a period has fewer than ``MIN_VALUES`` values. drifted: significant, and not small.
    """

    measure: str
    test: Test
    num_before: int
    num_after: int
    before: float | None
    after: float | None
    statistic: float | None = None
    effect: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    drifted: bool = False


def drifts(before: PeriodValues, after: PeriodValues) -> list[Drift]:
    """Each measure of two periods, compared.

    Shares by the two-proportion z test with the pooled share (Fleiss, Levin and Paik, "Statistical Methods for Rates
    and Proportions", 3rd ed., 2003, chapter 3); values by the Mann-Whitney U test (Mann and Whitney, 1947), which does
    not ask how they are distributed. All p-values are adjusted together by Holm's method (1979).
    """
    found = [
        compare_shares(
            "answer_rate",
            (before.num_answered, before.num_questions),
            (after.num_answered, after.num_questions),
        ),
        compare_shares(
            "thumbs_up_rate",
            (before.num_thumbs_up, before.num_thumbs_up + before.num_thumbs_down),
            (after.num_thumbs_up, after.num_thumbs_up + after.num_thumbs_down),
        ),
        *(compare_values(name, before.values[name], after.values[name]) for name in SCORES),
    ]
    adjusted = iter(holm([drift.p_value for drift in found if drift.p_value is not None]))
    return [drift if drift.p_value is None else _flagged(drift, next(adjusted)) for drift in found]


def compare_shares(measure: str, before: tuple[int, int], after: tuple[int, int]) -> Drift:
    """Compare (how many, of how many) in two periods."""
    (hits, num), (later_hits, later_num) = before, after
    drift = Drift(
        measure=measure,
        test="two-proportion z",
        num_before=num,
        num_after=later_num,
        before=hits / num if num else None,
        after=later_hits / later_num if later_num else None,
    )
    if min(num, later_num) < MIN_VALUES:
        return drift
    effect = later_hits / later_num - hits / num
    pooled = (hits + later_hits) / (num + later_num)
    error = math.sqrt(pooled * (1 - pooled) * (1 / num + 1 / later_num))
    z = effect / error if error else 0.0
    return replace(drift, statistic=z, effect=effect, p_value=math.erfc(abs(z) / math.sqrt(2)))


def compare_values(measure: str, before: Sequence[float], after: Sequence[float]) -> Drift:
    """Compare the values of two periods."""
    drift = Drift(
        measure=measure,
        test="Mann-Whitney U",
        num_before=len(before),
        num_after=len(after),
        before=statistics.median(before) if before else None,
        after=statistics.median(after) if after else None,
    )
    if min(len(before), len(after)) < MIN_VALUES:
        return drift
    if len({*before, *after}) == 1:  # the test divides by their spread
        return replace(drift, statistic=len(before) * len(after) / 2, effect=0.5, p_value=1.0)
    found = mannwhitneyu(after, before, alternative="two-sided", method="asymptotic")
    effect = float(found.statistic) / (len(before) * len(after))
    return replace(drift, statistic=float(found.statistic), effect=effect, p_value=float(found.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number, in their order: Holm's step-down method (1979)."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[number] * (len(p_values) - place)))
        adjusted[number] = highest
    return adjusted


def _flagged(drift: Drift, adjusted: float) -> Drift:
    assert drift.effect is not None
    if drift.test == "two-proportion z":
        small = abs(drift.effect) < SMALL_SHARE
    else:
        small = max(drift.effect, 1 - drift.effect) < SMALL_EFFECT
    return replace(drift, adjusted_p_value=adjusted, drifted=adjusted < SIGNIFICANT and not small)
