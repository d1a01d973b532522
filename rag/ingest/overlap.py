"""Working on one thing while the next is being made: ahead in a thread of its own, or several at once, in order."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
POLL_S = 0.05
"""How soon a thread that waits for room notices that nobody wants its items any more."""


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


_END = object()


def ahead(items: Generator[T, None, None], *, num: int) -> Generator[T, None, None]:
    """The items in their order, up to ``num`` of them made before they are asked for.

    What the iterator raises is raised here, after the items before it. Whoever stops early closes this generator
    (``contextlib.closing``); the thread then ends with the item that it is at, and closes ``items``.
    """
    made: queue.Queue[Any] = queue.Queue(maxsize=num)
    unwanted = threading.Event()
    thread = threading.Thread(target=_make, args=(items, made, unwanted), name="ahead", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item
    finally:
        unwanted.set()
        thread.join()


def side_by_side(work: Callable[[T], R], items: Generator[T, None, None], *, num: int) -> Generator[R, None, None]:
    """``work`` done on each item, in their order, on up to ``num`` of them at once in as many threads.

    What it raises is raised here in its turn. Whoever stops early closes this generator; it then waits for the work
    that has begun, and closes ``items``.
    """
    under_way: deque[Future[R]] = deque()
    with closing(items), ThreadPoolExecutor(num, thread_name_prefix="side-by-side") as threads:
        try:
            for item in items:
                under_way.append(threads.submit(work, item))
                while under_way and (len(under_way) >= num or under_way[0].done()):
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _make(items: Generator[T, None, None], made: "queue.Queue[Any]", unwanted: threading.Event) -> None:
    try:
        with closing(items):
            for item in items:
                if not _put(made, item, unwanted):
                    return
    except BaseException as error:  # noqa: BLE001 - raised again where the items are wanted
        _put(made, _Raised(error), unwanted)
    else:
        _put(made, _END, unwanted)


def _put(made: "queue.Queue[Any]", item: object, unwanted: threading.Event) -> bool:
    while not unwanted.is_set():
        try:
            made.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return True
    return False
