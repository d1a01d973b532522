"""Groups of an evaluation's questions, and where answers are worse than in the rest or than they were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.evaluate.significance import groups_against_rest, holm, mean_interval, paired_randomisation

MIN_QUESTIONS = 10
"""A smaller group tells nothing by itself: such groups are counted together and not tested."""
FEW = "(groups of fewer than 10)"
NUM_DRAWS = 2_000
"""Of each group's tests: there may be many groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One group of questions in two evaluations, by F1.

    dimension, value: what the group has in common, such as ``kind`` = ``when``.
    f1_a, f1_b: its means. difference: from A to B, with its 95% interval and corrected p-value.
    rest_f1_b: the mean of all other questions in B. behind_rest: how far the group lies behind those, above 0 where it
    is answered worse, with its corrected p-value. Both p-values are corrected over all groups of all dimensions (Holm);
    None where the group was not tested.
    """

    dimension: str
    value: str
    num_questions: int
    f1_a: float
    f1_b: float
    difference: float
    difference_low: float
    difference_high: float
    difference_p: float | None
    rest_f1_b: float | None
    behind_rest: float | None
    behind_rest_p: float | None


def slices_of(
    f1_a: Sequence[float], f1_b: Sequence[float], dimensions: Mapping[str, Sequence[str]]
) -> tuple[Slice, ...]:
    """The groups of every dimension, largest first; ``dimensions`` gives each question's group under each name.

    A group that holds all questions has no rest to lie behind.
    """
    groups = [
        (dimension, value, places) for dimension, values in dimensions.items() for value, places in _groups(values)
    ]
    tested = [at for at, (_, value, _) in enumerate(groups) if value != FEW]
    changes = [
        paired_randomisation([f1_b[place] - f1_a[place] for place in groups[at][2]], num_draws=NUM_DRAWS)
        for at in tested
    ]
    behinds = groups_against_rest(f1_b, [groups[at][2] for at in tested], num_draws=NUM_DRAWS)
    change_p = dict(zip(tested, holm(changes), strict=True))
    behind_p = dict(zip(tested, holm(behinds), strict=True))
    return tuple(
        _slice(*group, f1_a, f1_b, difference_p=change_p.get(at), behind_rest_p=behind_p.get(at))
        for at, group in enumerate(groups)
    )


def _groups(values: Sequence[str]) -> list[tuple[str, list[int]]]:
    """The places of each value, largest group first; small ones together at the end."""
    places: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(value, []).append(place)
    large = sorted((g for g in places.items() if len(g[1]) >= MIN_QUESTIONS), key=lambda g: (-len(g[1]), g[0]))
    few = sorted(place for group in places.values() if len(group) < MIN_QUESTIONS for place in group)
    return [*large, *([(FEW, few)] if few else [])]


def _slice(
    dimension: str,
    value: str,
    places: Sequence[int],
    f1_a: Sequence[float],
    f1_b: Sequence[float],
    *,
    difference_p: float | None,
    behind_rest_p: float | None,
) -> Slice:
    differences = [f1_b[place] - f1_a[place] for place in places]
    low, high = mean_interval(differences, num_draws=NUM_DRAWS)
    inside = set(places)
    rest = [f1 for place, f1 in enumerate(f1_b) if place not in inside]
    mean_b = sum(f1_b[place] for place in places) / len(places)
    rest_mean = sum(rest) / len(rest) if rest else None
    return Slice(
        dimension=dimension,
        value=value,
        num_questions=len(places),
        f1_a=sum(f1_a[place] for place in places) / len(places),
        f1_b=mean_b,
        difference=sum(differences) / len(places),
        difference_low=low,
        difference_high=high,
        difference_p=difference_p,
        rest_f1_b=rest_mean,
        behind_rest=None if rest_mean is None else rest_mean - mean_b,
        behind_rest_p=None if rest_mean is None else behind_rest_p,
    )
