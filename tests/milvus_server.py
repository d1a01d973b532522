"""A Milvus Lite server of the tests' own in a process of its own: on loopback, gone at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LiteServer:
    """A server that can be killed and started again over the same files, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(self._folder)]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                assert time.monotonic() < end
                assert self._process.poll() is None
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None


@contextmanager
def running_lite(folder: Path) -> Iterator[LiteServer]:
    """A server that runs inside the block."""
    server = LiteServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class StandaloneServer:
    """The real server of the PyPI package ``milvus``, which brings an old version of it, as one process."""

    def __init__(self, folder: Path) -> None:
        from milvus import MilvusServer

        self._server = MilvusServer(wait_for_started=False)
        self._server.set_base_dir(str(folder))
        self._folder = folder

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.listen_port}"

    def start(self) -> None:
        """Start it, or start it again at the same address, and wait until it is well."""
        killed = self._server.server_proc
        if killed is None:
            self._server.start()
        else:  # the package would look for another port
            run = {"DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(self._server.webservice_port)}
            run |= {"MILVUS_RUN_DIR": str(self._folder / "run"), "LD_LIBRARY_PATH": str(Path(killed.args[0]).parent)}
            self._server.server_proc = subprocess.Popen(
                killed.args,
                cwd=self._folder,
                env=os.environ | run,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._server.wait_started(180_000)

    def kill(self) -> None:
        """End it without a word."""
        self._server.server_proc.kill()
        self._server.server_proc.wait(10)


@contextmanager
def running_standalone(folder: Path) -> Iterator[StandaloneServer]:
    """A server that runs inside the block."""
    server = StandaloneServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
