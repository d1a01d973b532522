"""Many read, one writes, and a writer is not kept out by those who keep reading."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from rag.index.read_write_lock import ReadWriteLock

PATIENCE_S = 20


def test_readers_share_it() -> None:
    lock, both = ReadWriteLock(), threading.Barrier(2)

    def read() -> None:
        with lock.read():
            both.wait(PATIENCE_S)  # broken unless the other reads at the same time

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(read), pool.submit(read)]:
            done.result(PATIENCE_S)


def test_writer_has_it_alone() -> None:
    lock, num_inside, seen = ReadWriteLock(), [0, 0], list[tuple[int, int]]()
    count = threading.Lock()

    def work(kind: int) -> None:
        for _ in range(200):
            with lock.write() if kind else lock.read():
                with count:
                    num_inside[kind] += 1
                    seen.append((num_inside[0], num_inside[1]))
                with count:
                    num_inside[kind] -= 1

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, number % 2) for number in range(6)]:
            done.result(PATIENCE_S)
    assert all(writing <= 1 and not (reading and writing) for reading, writing in seen)
    assert len(seen) == 1200


def test_waiting_writer_goes_before_readers_that_come_later() -> None:
    lock, order = ReadWriteLock(), list[str]()
    reading, may_end, asked = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with lock.read():
            reading.set()
            assert may_end.wait(PATIENCE_S)

    def write() -> None:
        asked.set()
        with lock.write():
            order.append("write")

    def read() -> None:
        with lock.read():
            order.append("read")

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(first)]
        assert reading.wait(PATIENCE_S)
        calls.append(pool.submit(write))
        assert asked.wait(PATIENCE_S)
        while not lock._num_waiting:
            time.sleep(0.01)
        calls.append(pool.submit(read))
        time.sleep(0.1)
        assert order == []
        may_end.set()
        for call in calls:
            call.result(PATIENCE_S)
    assert order == ["write", "read"]


def test_it_is_free_again_after_an_error() -> None:
    lock = ReadWriteLock()
    for hold in (lock.read, lock.write, lock.read):
        try:
            with hold():
                raise RuntimeError
        except RuntimeError:
            pass
    with lock.write():
        pass
