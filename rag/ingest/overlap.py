"""Working on one thing while the next is being made: the items of an iterator, made ahead in a thread of its own."""

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
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
