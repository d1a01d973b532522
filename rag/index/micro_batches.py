"""Calls that come at the same time, run together."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    """One caller's item, and what became of it. ``woken`` is set when it has an outcome or is to run the next batch."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.woken = threading.Event()
        self.result: list[Result] = []  # one, once there is one
        self.error: Exception | None = None

    @property
    def has_outcome(self) -> bool:
        return bool(self.result) or self.error is not None


class MicroBatches(Generic[Item, Result]):
    """Runs a function over lists for callers who have one item each. Safe to share between threads.

    A call that comes alone runs at once. What comes while a batch runs waits for it and makes up the next, which one of
    its callers runs: as in the group commit of databases (DeWitt et al., 1984), nobody waits for company.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Iterable[Result]], *, max_batch: int) -> None:
        """``run`` returns one result for each of at most ``max_batch`` items; it is never run twice at once."""
        self._run = run
        self._max_batch = max_batch
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._running = False
        self._lock = threading.Lock()

    def __call__(self, item: Item) -> Result:
        """The result for ``item``. Raises what ``run`` raises over it alone."""
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._waiting.append(call)
            alone, self._running = not self._running, True
        if not alone:
            call.woken.wait()
        if not call.has_outcome:
            self._run_batch()
        if call.error is not None:
            raise call.error
        return call.result[0]

    def _run_batch(self) -> None:
        """Run the oldest calls, the caller's own first among them, and wake the next to run what came meanwhile."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
        try:
            self._settle(batch)
        finally:
            settled = [call for call in batch if call.has_outcome]
            with self._lock:
                # None is left over but where this thread was interrupted; its own call ends with it.
                self._waiting.extendleft(call for call in reversed(batch[1:]) if not call.has_outcome)
                following = self._waiting[0] if self._waiting else None
                self._running = following is not None
            for call in settled if following is None else (following, *settled):
                call.woken.set()

    def _settle(self, batch: Sequence[_Call[Item, Result]]) -> None:
        try:
            results = self._run([call.item for call in batch])
        except Exception as error:  # noqa: BLE001 - it is raised where its caller waits
            if len(batch) == 1:
                batch[0].error = error
            else:  # one caller's bad item is not the others' failure
                for call in batch:
                    self._settle([call])
        else:
            for call, result in zip(batch, results, strict=True):
                call.result.append(result)
