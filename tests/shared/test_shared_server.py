"""What is shared is a saving: without the server everything goes on, and soon notices when it is back."""

import logging
import time
from pathlib import Path

import pytest

from rag.errors import InvalidInput
from rag.shared.answer_cache import AnswerCache, Lookups
from rag.shared.server import TIMEOUT_S, SharedServer
from tests.redis_server import running_redis


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_server_that_goes_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with running_redis(tmp_path) as redis:
        server = SharedServer(redis.url, retry_after_s=5, clock=clock)
        cache = AnswerCache(server, seconds=60)
        cache.keep("a", 7)
        assert cache.find("a") == 7
        assert server.problem() is None
        redis.stop()
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                assert cache.find("a") is None
                cache.keep("a", 8)
            problem = server.problem()
            assert problem is not None
            assert "Redis does not answer" in problem
            redis.start()
            assert server.problem() == problem  # not asked again yet
            clock.now += 6
            assert server.problem() is None
        assert caplog.text.count("Redis does not answer") == 1
        assert caplog.text.count("Redis answers again") == 1
        cache.keep("a", 9)
        assert cache.find("a") == 9
        server.close()


def test_server_that_hangs_costs_one_short_wait(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        server = SharedServer(redis.url)
        cache = AnswerCache(server, seconds=60)
        cache.keep("a", 7)
        redis.freeze()
        began = time.monotonic()
        assert [cache.find("a") for _ in range(20)] == [None] * 20
        assert time.monotonic() - began < TIMEOUT_S + 5
        redis.go_on()
        server.close()


def test_ids_are_kept_for_their_time_and_by_their_key(redis_url: str) -> None:
    server = SharedServer(redis_url)
    brief, long = AnswerCache(server, seconds=1), AnswerCache(server, seconds=60)
    brief.keep("a", 1)
    long.keep("b", 2)
    assert (long.find("a"), long.find("b"), long.find("c")) == (1, 2, None)
    time.sleep(1.1)
    assert (long.find("a"), long.find("b")) == (None, 2)
    server.run(lambda redis: redis.set("rag:answer:b", "words"), otherwise=None)
    assert long.find("b") is None  # somebody else's
    long.count(found=True)
    long.count(found=False)
    long.count(found=False)
    assert long.lookups() == Lookups(num_found=1, num_missed=2)
    server.close()


def test_password_is_not_told_and_a_bad_url_is_refused() -> None:
    with pytest.raises(InvalidInput, match="redis_url is not a URL"):
        SharedServer("localhost")
    server = SharedServer("redis://:secret-word@127.0.0.1:1/0")
    problem = server.problem()
    assert problem is not None
    assert "secret-word" not in problem
