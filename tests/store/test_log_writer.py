"""An answer is logged within a bounded time, or it is refused, whatever the disk or the server does."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from rag.errors import StoreUnavailable
from rag.records import Answer
from rag.store.answers import NewAnswer, get_answer, insert_answer
from rag.store.database import Database, Session
from rag.store.log_writer import LogWriter
from tests.api.running_server import wait_until
from tests.slow_disk import slow_disk

LIMIT_S = 0.3
Work = Callable[[Session], Answer]


@pytest.fixture
def work(library: Any) -> Work:
    """Logs an answer."""
    new = NewAnswer(
        collection_id=library.collection_id,
        question="How long do I have?",
        answer="thirty days",
        abstained=False,
        confidence=0.9,
        citations=(),
        passages=(),
        scores=(),
        timings_ms={"total": 30.0},
        model="reader-1",
        model_sha256="abc",
        embedding_model="model",
        index_change_id=0,
        settings={},
    )

    def log_it(session: Session) -> Answer:
        return get_answer(session, insert_answer(session, new)).answer

    return log_it


@contextmanager
def hanging_commits(database: Database, work: Work) -> Iterator[tuple[Work, Callable[[], None]]]:
    """Work whose commit does not return until the second one is called: a slow disk, or a server that stands still."""
    if database.dialect == "sqlite":
        with slow_disk() as disk:
            yield work, disk.let_go
        return
    stopped: list[int] = []

    def work_and_stop(session: Session) -> Answer:
        answer = work(session)
        stopped.append(session.scalar(text("SELECT pg_backend_pid()")))
        os.kill(stopped[-1], signal.SIGSTOP)
        return answer

    def go_on() -> None:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        stopped.clear()

    try:
        yield work_and_stop, go_on
    finally:
        go_on()


def num_answers(database: Database) -> int:
    with database.read() as session:
        number: int = session.scalar(text("SELECT count(*) FROM answers"))
    return number


def is_free(writer: LogWriter) -> bool:
    try:
        writer.check()
    except StoreUnavailable:
        return False
    return True


def test_commit_that_does_not_return_is_not_waited_for_and_told_when_it_does(
    database: Database, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    writer = LogWriter(database, limit_s=LIMIT_S, max_at_once=2)
    assert writer.write(work).id == 1
    with hanging_commits(database, work) as (hanging, go_on):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="store_timeout_s"):
            writer.write(hanging)
        assert LIMIT_S * 0.9 < time.monotonic() - began < 10
        assert not is_free(writer)
        assert num_answers(database) == 1
        go_on()
        with caplog.at_level(logging.ERROR):
            wait_until(lambda: is_free(writer))
    assert "Answer 2 was not given" in caplog.text
    assert num_answers(database) == 2
    assert writer.write(work).id == 3


def test_what_is_not_committed_when_its_caller_goes_is_rolled_back(database: Database, work: Work) -> None:
    writer = LogWriter(database, limit_s=LIMIT_S, max_at_once=2)
    go = threading.Event()

    def slow(session: Session) -> Answer:
        answer = work(session)
        go.wait(20)
        return answer

    with pytest.raises(StoreUnavailable):
        writer.write(slow)
    go.set()
    wait_until(lambda: is_free(writer))
    assert num_answers(database) == 0


def test_no_more_threads_hang_than_may_write_at_once(database: Database) -> None:
    writer = LogWriter(database, limit_s=LIMIT_S, max_at_once=2)
    go, begun = threading.Event(), []

    def hang(_: Session) -> Answer:
        begun.append(threading.current_thread())
        go.wait(20)
        raise AssertionError

    callers = [threading.Thread(target=lambda: pytest.raises(StoreUnavailable, writer.write, hang)) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        writer.write(hang)
    assert time.monotonic() - began < LIMIT_S  # known to be in vain, so there is no wait
    go.set()
    wait_until(lambda: is_free(writer))
    assert 1 <= len(begun) <= 2
    assert not any(thread.is_alive() for thread in begun if thread.join(10) is None)


def test_error_of_the_work_comes_to_its_caller(database: Database) -> None:
    writer = LogWriter(database, limit_s=LIMIT_S, max_at_once=1)

    def fail(_: Session) -> Answer:
        raise KeyError("wrong")

    for _ in range(3):  # its place is free again each time
        with pytest.raises(KeyError, match="wrong"):
            writer.write(fail)
    writer.check()
