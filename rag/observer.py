"""Those who watch a service at work, for metrics and traces: told of each step of an answer, and of how it ended.

Knows nothing of how they keep it. Nobody is told a question, an answer or a document.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Literal

Outcome = Literal["answered", "abstained", "busy", "cancelled", "timed_out", "not_logged"]
Step = Literal["retrieve", "generate", "score", "log"]


class Observer:
    """Watches and does nothing; others override what they keep. Called from many threads."""

    def step(self, name: Step) -> AbstractContextManager[object]:  # noqa: ARG002
        """Stands around a step of an answer."""
        return nullcontext()

    def ended(self, outcome: Outcome, timings_ms: Mapping[str, float]) -> None:
        """A question has been answered or not; ``timings_ms`` as the answer has them, empty without one."""


class Observers(Observer):
    """Passes on what happens to any number of others."""

    def __init__(self) -> None:
        self._others: tuple[Observer, ...] = ()

    def add(self, other: Observer) -> None:
        """Tell another from now on."""
        self._others = (*self._others, other)

    def remove(self, other: Observer) -> None:
        """Tell it no longer."""
        self._others = tuple(kept for kept in self._others if kept is not other)

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Each other's own, around the step."""
        with ExitStack() as steps:
            for other in self._others:
                steps.enter_context(other.step(name))
            yield

    def ended(self, outcome: Outcome, timings_ms: Mapping[str, float]) -> None:
        """Each other is told."""
        for other in self._others:
            other.ended(outcome, timings_ms)


NOBODY = Observer()
