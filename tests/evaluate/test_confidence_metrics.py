import random
import xml.etree.ElementTree as ET
from dataclasses import asdict

import pytest

from rag.evaluate.confidence_metrics import (
    Judged,
    auroc,
    calibration_by_halves,
    calibration_of_mix,
    expected_calibration_error,
    reliability_bins,
    threshold_by_halves,
)
from rag.evaluate.reliability_plot import reliability_svg


def test_calibrated_confidences_have_no_error_and_overconfident_ones_have() -> None:
    calibrated = reliability_bins([0.25] * 4 + [0.75] * 4, [True] + [False] * 3 + [True] * 3 + [False])
    assert expected_calibration_error(calibrated) == 0.0
    overconfident = reliability_bins([0.9] * 10, [True] * 5 + [False] * 5)
    assert expected_calibration_error(overconfident) == pytest.approx(0.4)
    assert expected_calibration_error([]) == 0.0


def test_bins_take_in_both_ends() -> None:
    bins = reliability_bins([0.0, 1.0], [False, True])
    assert [(one.low, one.high, one.num) for one in bins] == [(0.0, 0.1, 1), (0.9, 1.0, 1)]


def test_auroc_is_the_probability_of_ranking_a_pair_rightly() -> None:
    assert auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75
    assert auroc([0.5, 0.5], [True, False]) == 0.5
    assert auroc([0.5], [True]) is None


def test_weights_count_as_if_answers_were_there_as_often() -> None:
    confidences, right, times = [0.95, 0.95, 0.15, 0.55], [True, False, True, False], [3, 1, 2, 0]
    repeated = [n for n, number in enumerate(times) for _ in range(number)]
    weighted = reliability_bins(confidences, right, [number / 2 for number in times])
    unweighted = reliability_bins([confidences[n] for n in repeated], [right[n] for n in repeated])
    assert [(one.low, one.num, one.weight) for one in weighted] == [(0.1, 1, 1 / 3), (0.9, 2, 2 / 3)]
    assert [one.share_right for one in weighted] == [one.share_right for one in unweighted] == [1.0, 0.75]
    assert expected_calibration_error(weighted) == pytest.approx(expected_calibration_error(unweighted))
    assert expected_calibration_error(weighted) == pytest.approx(1 / 3 * 0.85 + 2 / 3 * 0.2)
    # Of the positives three fifths stand beside the negative one, two fifths below it.
    assert auroc(confidences, right, times) == pytest.approx(3 / 5 * 1 / 2)
    assert auroc(confidences, right, [1, 0, 1, 0]) is None


def test_kinds_of_a_mix_weigh_their_shares_however_many_were_asked() -> None:
    confidences = [0.95, 0.95, 0.55, 0.15, 0.95, 0.15]
    right = [True, True, False, True, False, False]
    answerable = [True] * 4 + [False] * 2
    found = calibration_of_mix(confidences, right, answerable, share_unanswerable=0.1)
    assert found is not None
    # Each answerable question weighs 0.9 / 4 = 0.225, each of the others 0.1 / 2 = 0.05.
    low, middle, high = found["bins"]
    assert [one["weight"] for one in (low, middle, high)] == pytest.approx([0.275, 0.225, 0.5])
    assert [one["share_right"] for one in (low, middle, high)] == pytest.approx([0.225 / 0.275, 0.0, 0.9])
    assert [one["num"] for one in (low, middle, high)] == [2, 1, 3]
    # By bin |weight of confidence - weight of right ones|: |0.04125 - 0.225|, |0.12375 - 0|, |0.475 - 0.45|.
    assert found["expected_calibration_error"] == pytest.approx(0.18375 + 0.12375 + 0.025)
    # Right: 0.45 at 0.95, 0.225 at 0.15. Wrong: 0.225 at 0.55, 0.05 at 0.95, 0.05 at 0.15.
    wins = 0.45 * (0.225 + 0.05 / 2 + 0.05) + 0.225 * 0.05 / 2
    assert found["auroc_right"] == pytest.approx(wins / (0.675 * 0.325))
    assert found["share_unanswerable"] == 0.1
    twice = calibration_of_mix(
        confidences + confidences[4:], right + right[4:], answerable + answerable[4:], share_unanswerable=0.1
    )
    assert twice is not None
    assert twice["expected_calibration_error"] == pytest.approx(found["expected_calibration_error"])
    assert twice["auroc_right"] == pytest.approx(found["auroc_right"])


def test_mix_needs_both_kinds() -> None:
    assert calibration_of_mix([0.5], [True], [True], share_unanswerable=0.1) is None
    assert calibration_of_mix([0.5], [False], [False], share_unanswerable=0.1) is None


def _judged(group: int, confidence: float, *, answerable: bool) -> Judged:
    given, withheld = (1.0, 0.0) if answerable else (0.0, 1.0)
    return Judged(
        group=group,
        abstention_score=confidence,
        exact_match=given,
        f1=given,
        withheld_exact_match=withheld,
        withheld_f1=withheld,
    )


def test_threshold_is_set_on_some_groups_and_reported_on_others() -> None:
    rng = random.Random(0)
    judged = [
        _judged(group, (0.6 if answerable else 0.2) + rng.uniform(-0.1, 0.1), answerable=answerable)
        for group in range(8)
        for answerable in (True, False) * 10
    ]
    found = threshold_by_halves(judged, seed=0)
    assert found is not None
    assert 0.2 < found["threshold"] <= 0.6
    assert found["num_questions"] == 80
    assert found["f1"] > 0.95


def test_calibrating_on_half_of_the_groups_mends_the_others() -> None:
    rng = random.Random(0)
    groups = [number % 20 for number in range(4_000)]
    truths = [rng.uniform(0.1, 0.9) for _ in groups]
    right = [rng.random() < truth for truth in truths]
    too_low = [truth / 2 for truth in truths]
    assert expected_calibration_error(reliability_bins(too_low, right)) > 0.2
    found = calibration_by_halves(too_low, right, groups, seed=0)
    assert found is not None
    assert found["expected_calibration_error"] < 0.06
    assert found["num_questions"] == 2_000
    assert found["shift"] > 0


def test_calibration_needs_right_and_wrong_answers_in_groups_that_can_be_halved() -> None:
    assert calibration_by_halves([], [], [], seed=0) is None
    assert calibration_by_halves([0.5, 0.6], [True, False], [1, 1], seed=0) is None
    assert calibration_by_halves([0.5, 0.6], [True, True], [1, 2], seed=0) is None


def test_one_group_cannot_be_halved() -> None:
    assert threshold_by_halves([_judged(0, 0.5, answerable=True)], seed=0) is None


def test_plot_is_a_picture_with_a_bar_for_each_bin() -> None:
    bins = [asdict(one) for one in reliability_bins([0.05, 0.95, 0.96], [False, True, True])]
    root = ET.fromstring(reliability_svg(bins, title="a <b> & c"))
    tooltips = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert tooltips == ["1 answers, confidence 0.05, right 0.00", "2 answers, confidence 0.95, right 1.00"]
