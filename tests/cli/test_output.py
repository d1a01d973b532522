"""Progress: what is said of its speed, and how often."""

import pytest

from rag.cli import output
from rag.cli.output import Counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands until the test sets it."""
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def test_resumed_work_counts_only_what_it_did_itself(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Counter("steps", total=3_000) as counter:
        clock[0] = 100.0  # mining negatives
        counter.show(2_020, current="24 questions/s")
        clock[0] = 110.0
        counter.show(2_040)
    assert capsys.readouterr().err == "steps: 2020 of 3000, 24 questions/s\nsteps: 2040 of 3000, 2.0/s\n"


def test_lines_come_two_seconds_apart(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Counter("files") as counter:
        for number in range(1, 51):
            clock[0] = number / 10
            counter.show(number)
    assert len(capsys.readouterr().err.splitlines()) == 2
