"""Learning rate schedules."""

import pytest

from rag.errors import InvalidInput
from rag.training.schedule import DECAYS, Decay, Schedule


def _shares(num_steps: int = 100, **settings: object) -> list[float]:
    schedule = Schedule(**{"num_warmup": 10, **settings})  # type: ignore[arg-type]
    return [schedule.share_at(step, num_steps) for step in range(num_steps + 1)]


@pytest.mark.parametrize("decay", DECAYS)
def test_rate_warms_up_in_equal_steps_then_falls_to_the_end(decay: Decay) -> None:
    shares = _shares(decay=decay)
    assert shares[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert shares[10] == 1.0
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[99] > 0
    assert shares[100] == pytest.approx(0)


def test_halfway_down_linear_and_cosine_stand_at_one_half() -> None:
    assert _shares(decay="linear")[55] == pytest.approx(0.5)
    assert _shares(decay="cosine")[55] == pytest.approx(0.5)
    assert _shares(decay="cosine")[20] > _shares(decay="linear")[20]  # slow at first
    assert _shares(decay="cosine")[90] < _shares(decay="linear")[90]  # and in the end


def test_stable_stretch_does_not_depend_on_the_number_of_steps() -> None:
    short = _shares(100, decay="warmup_stable_decay", decay_share=0.4)
    longer = _shares(200, decay="warmup_stable_decay", decay_share=0.4)
    assert short[:61] == longer[:61]
    assert set(short[10:61]) == {1.0}
    assert short[80] == pytest.approx(0.5)


@pytest.mark.parametrize("decay", DECAYS)
def test_final_share_is_reached_and_never_gone_below(decay: Decay) -> None:
    shares = _shares(decay=decay, final_share=0.1)
    assert shares[100] == pytest.approx(0.1)
    assert min(shares[10:]) == pytest.approx(0.1)


def test_run_shorter_than_its_warm_up_stays_in_range() -> None:
    assert all(0 < share <= 1 for share in _shares(5)[:5])
    assert _shares(num_warmup=0)[0] == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": "steps"}, "decay must be one of cosine, linear, warmup_stable_decay, not 'steps'"),
        ({"num_warmup": -1}, "num_warmup"),
        ({"decay_share": 1.5}, "decay_share must lie between 0 and 1"),
        ({"final_share": -0.1}, "final_share"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _shares(**settings)  # type: ignore[arg-type]
