"""Threads for the work that async routes wait for: a bounded number, each freed when nobody waits for it any more."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

import anyio
from anyio import to_thread
from fastapi import Depends, Request

from rag.cancellation import Cancellation
from rag.errors import Busy, RagError

T = TypeVar("T")
NUM_CHECKS = 2
"""Threads for checks of health, which must not wait for answers."""


class Workers:
    """A bounded pool. A thread is busy until its work has really ended, also if its caller went away before."""

    def __init__(self, num_workers: int) -> None:
        self._answering = anyio.CapacityLimiter(num_workers)
        self._checking = anyio.CapacityLimiter(NUM_CHECKS)

    @property
    def num_busy(self) -> int:
        """Workers that are answering now."""
        return int(self._answering.borrowed_tokens)

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in a thread.

        Raises:
            Busy: all workers are at work.
        """
        if self._answering.available_tokens < 1:
            raise Busy(
                "Too many questions are in work; try again in a moment "
                "(settings: max_concurrent_answers, max_waiting_answers)."
            )
        return await to_thread.run_sync(work, limiter=self._answering)

    async def check(self, work: Callable[[], T]) -> T:
        """The same for a check of health, which waits for its turn."""
        return await to_thread.run_sync(work, limiter=self._checking)


def workers_of(request: Request) -> Workers:
    """The workers that ``create_app`` has put into the application."""
    workers = request.app.state.workers
    assert isinstance(workers, Workers)
    return workers


Pool = Annotated[Workers, Depends(workers_of)]


async def run_while_wanted(request: Request, workers: Workers, work: Callable[[Cancellation], T]) -> T:
    """Do some work in a thread, and give it up when the caller goes away.

    Raises:
        Busy: all workers are at work.
        Cancelled: the caller has gone away.
    """
    cancellation = Cancellation()
    done: list[T] = []
    problem: RagError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_when_gone, request, cancellation)
        try:
            done.append(await workers.run(partial(work, cancellation)))
        except RagError as error:
            problem = error  # raised outside: a task group would wrap it
        tasks.cancel_scope.cancel()
    if problem is not None:
        raise problem
    return done[0]


async def cancel_when_gone(request: Request, cancellation: Cancellation) -> None:
    """Wait until the caller goes away, then cancel. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    cancellation.cancel()
