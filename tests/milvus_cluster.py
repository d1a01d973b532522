"""A Milvus cluster on loopback: etcd, an object store, a broker, coordinators and nodes, each a process of its own.

Everything is real but two: moto stands in for S3, and for Kafka the broker that librdkafka brings for tests, which
keeps messages in memory. As a script, ``python -m tests.milvus_cluster FOLDER``, it runs until it is interrupted, in a
new folder.
"""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

START_S = 120
"""Longest wait for one process to be well."""

# Writes its address into a file, and ends with the process that started it: its input is closed then.
_BROKER = """
import os, sys
from confluent_kafka import Producer
producer = Producer({"test.mock.num.brokers": 1})
(broker,) = producer.list_topics(timeout=10).brokers.values()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{broker.host}:{broker.port}")
os.replace(file.name, sys.argv[1])
sys.stdin.read()
"""

_COORDINATORS = ["mixture", "-rootcoord=true", "-querycoord=true", "-datacoord=true", "-indexcoord=true"]


def missing() -> str | None:
    """What of the cluster is not on this machine, and how to get it; None where all is."""
    wanted = {
        "the packages milvus and confluent-kafka (pip install --group milvus-cluster)": all(
            importlib.util.find_spec(name) for name in ("milvus", "confluent_kafka")
        ),
        "the program etcd (apt-get install etcd-server)": shutil.which("etcd"),
        "the program moto_server (docs/scaling.md)": shutil.which("moto_server"),
    }
    lacking = [what for what, is_there in wanted.items() if not is_there]
    return f"opt-in, needs {'; '.join(lacking)}" if lacking else None


class Process:
    """One program of the cluster, which writes into a log of its own."""

    def __init__(
        self, command: list[str], folder: Path, *, name: str, is_well: Callable[[], object], **env: str
    ) -> None:
        """``is_well`` tells whether it takes requests, and may raise OSError."""
        self.name = name
        self._command, self._folder, self._env, self._is_well = command, folder, env, is_well
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again, and wait until it is well. Raises RuntimeError with the end of its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=os.environ | self._env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_S
        while not self._looks_well():
            has_ended = self._process.poll() is not None
            if has_ended or time.monotonic() > end:
                words = self._log.read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"{self.name} {'has ended' if has_ended else 'does not get well'}: …{words}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _looks_well(self) -> bool:
        try:
            return bool(self._is_well())
        except OSError:
            return False


class MilvusCluster:
    """The processes, in the order in which they are started. What they keep is in ``folder``, and in their memory."""

    def __init__(self, folder: Path, *, num_query_nodes: int = 2) -> None:
        self._folder = folder
        self._ports = iter(_free_ports(40))
        self._proxy_port = next(self._ports)
        self._num_query_nodes = num_query_nodes
        self._processes: list[Process] = []
        self._settings: dict[str, dict[str, Any]] = {}
        self.query_nodes: list[Process] = []

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self._proxy_port}"

    def start(self) -> None:
        """Start everything and wait until it takes requests. Raises RuntimeError where something does not get well."""
        self._settings = {
            "etcd": {"endpoints": f"127.0.0.1:{self._start_etcd()}"},
            "minio": {"address": "127.0.0.1", "port": self._start_store(), "bucketName": "milvus"},
            "kafka": {"brokerList": self._start_broker(), "securityProtocol": "PLAINTEXT"},
            "mq": {"type": "kafka"},
            "common": {"storageType": "remote", "session": {"ttl": 15}},
            "rootCoord": {"dmlChannelNum": 4},
            "log": {"level": "info"},
        }
        coordinators = {name: self._address() for name in ("rootCoord", "queryCoord", "dataCoord", "indexCoord")}
        self._start_milvus("coordinators", _COORDINATORS, coordinators)
        self._start_milvus("datanode", ["datanode"], {"dataNode": self._address()})
        self._start_milvus("indexnode", ["indexnode"], {"indexNode": self._address()})
        for number in range(self._num_query_nodes):
            self._start_milvus(f"querynode-{number}", ["querynode"], {"queryNode": self._address()})
        self.query_nodes = self._processes[-self._num_query_nodes :]
        proxy = {"ip": "127.0.0.1", "port": self._proxy_port, "internalPort": next(self._ports)}
        self._start_milvus("proxy", ["proxy"], {"proxy": proxy})

    def stop(self) -> None:
        """End all of it, the last one first."""
        for process in reversed(self._processes):
            process.kill()

    def _start_etcd(self) -> int:
        port, peers = next(self._ports), f"http://127.0.0.1:{next(self._ports)}"
        url = f"http://127.0.0.1:{port}"
        command = ["etcd", "--data-dir", str(self._folder / "etcd"), "--unsafe-no-fsync"]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        command += ["--initial-cluster", f"default={peers}"]
        self._start("etcd", command, lambda: _answers(f"{url}/health"))
        return port

    def _start_store(self) -> int:
        port = next(self._ports)
        command = ["moto_server", "--host", "127.0.0.1", "--port", str(port)]
        self._start("store", command, lambda: _answers(f"http://127.0.0.1:{port}/moto-api/"))
        return port

    def _start_broker(self) -> str:
        address = self._folder / "broker"
        self._start("broker", [sys.executable, "-c", _BROKER, str(address)], lambda: address.exists())
        return address.read_text()

    def _start_milvus(self, name: str, roles: list[str], settings: dict[str, dict[str, Any]]) -> None:
        own = self._folder / name
        own.mkdir()
        both = {key: self._settings.get(key, {}) | settings.get(key, {}) for key in self._settings | settings}
        both["localStorage"] = {"path": str(own / "data")}
        (own / "milvus.yaml").write_text(json.dumps(both))  # which is YAML, too
        (own / "glog.conf").write_text("--logtostderr=true\n--minloglevel=1\n")  # nodes do not start without one
        health_port = str(next(self._ports))
        programs = self._folder / "bin"
        self._start(
            name,
            [str(programs / "milvus"), "run", *roles],
            lambda: _answers(f"http://127.0.0.1:{health_port}/healthz"),
            MILVUSCONF=str(own),
            MILVUS_RUN_DIR=str(own),
            METRICS_PORT=health_port,
            LD_LIBRARY_PATH=str(programs),
        )

    def _start(self, name: str, command: list[str], is_well: Callable[[], object], **env: str) -> None:
        process = Process(command, self._folder, name=name, is_well=is_well, **env)
        self._processes.append(process)
        process.start()

    def _address(self) -> dict[str, Any]:
        return {"ip": "127.0.0.1", "port": next(self._ports)}


@contextmanager
def running_cluster(folder: Path) -> Iterator[MilvusCluster]:
    """A cluster that runs inside the block, with its logs in ``folder``."""
    from milvus import _initialize_data_files

    _initialize_data_files(str(folder))  # the programs come packed
    cluster = MilvusCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _free_ports(number: int) -> list[int]:
    """Ports that nobody listens at, each another one."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)


def main(folder: Path) -> None:
    """Run a cluster until it is interrupted."""
    if (lacking := missing()) is not None:
        sys.exit(lacking)
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running_cluster(folder) as cluster:
        sys.stdout.write(f"RAG_SEARCH=milvus RAG_MILVUS_URI={cluster.url} RAG_MILVUS_REPLICAS=2; end it with Ctrl+C\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
