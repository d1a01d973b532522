"""A Redis server of the tests' own, the system's real one: on loopback, without a disk, gone at the end."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotYet


class RedisServer:
    """A server that can be stopped, frozen and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        # The same program by its other name, which comes without a server that runs.
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if program is None:
            pytest.fail("The tests of what is shared need redis-server: `make test` installs it, or apt-get does.")
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder)]
        self._process = subprocess.Popen(command, executable=program, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while True:
            try:
                with Redis.from_url(self.url) as redis:
                    redis.ping()
            except NotYet:
                assert time.monotonic() < end
                time.sleep(0.02)
            else:
                return

    def freeze(self) -> None:
        """It takes connections, and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A server that runs inside the block."""
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
