"""The same against a cluster of Milvus processes, version 2.3.5, which holds each passage on two query nodes.

Skipped unless its pieces are there; the skip says which are missing and how to get them.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import IndexUnavailable
from rag.index.milvus_server import MilvusServer
from tests.milvus_cluster import MilvusCluster, missing, running_cluster

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=missing() or "")]

log = logging.getLogger(__name__)

NUM_CALLERS = 4
HANDBOOK = Path(__file__).parents[2] / "examples" / "handbook" / "team"
QUERIES = [
    "Who may declare a disaster beside the head of operations?",
    "Where is the machine called osprey?",
    "For how many days are prompts and answers kept under the retention policy 2025?",
    "Who is on call at night?",
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


class Callers:
    """Search and ask in turn, each by itself, and write down what is not as it was before."""

    def __init__(self, service: Rag) -> None:
        self._service = service
        self._before = {query: (_hits(service, query), service.ask(query).answer) for query in QUERIES}
        self.num_searches = self.num_answers = 0
        self.slowest_s = 0.0
        self.failures = list[object]()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """They call inside the block; at its end, all of it must have been as before."""
        before, stop = (self.num_searches, self.num_answers), threading.Event()
        threads = [threading.Thread(target=self._call, args=(number, stop)) for number in range(NUM_CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert self.failures == []
        assert self.num_searches > before[0]
        assert self.num_answers > before[1]

    def are_as_before(self) -> bool:
        """Whether all searches find now what they found."""
        return all(_hits(self._service, query) == hits for query, (hits, _) in self._before.items())

    def _call(self, number: int, stop: threading.Event) -> None:
        while not stop.is_set():
            number += 1
            query = QUERIES[number % len(QUERIES)]
            hits, answer = self._before[query]
            start = time.monotonic()
            try:
                if number % 5:
                    found, wanted = _hits(self._service, query), hits
                    self.num_searches += 1
                else:
                    found, wanted = self._service.ask(query).answer, answer
                    self.num_answers += 1
            except Exception as error:  # noqa: BLE001 - shown by the test
                found, wanted = error, None
            if found != wanted:
                self.failures.append(found)
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)


def test_no_answer_fails_while_a_query_node_is_killed_and_started_again(
    cluster: MilvusCluster, postgres_search_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=postgres_search_url,
        data_dir=tmp_path / "data",
        search="milvus",
        milvus_uri=cluster.url,
        milvus_replicas=3,
    )
    server = MilvusServer(cluster.url)
    with Rag(settings) as service, pytest.raises(IndexUnavailable, match="query nodes.*milvus_replicas"):
        service.ingest(HANDBOOK)
    with Rag(settings.model_copy(update={"milvus_replicas": 2})) as service:
        assert service.ingest(HANDBOOK).num_refused == 0
        collections = server.run("list_collections")
        _wait(lambda: all(_has_two_replicas(server, name) for name in collections))
        callers = Callers(service)
        with callers.calling():
            time.sleep(3)
            cluster.query_nodes[0].kill()
            time.sleep(20)
            _wait(lambda: not any(_has_two_replicas(server, name) for name in collections))
        cluster.query_nodes[0].start()
        _wait(lambda: all(_has_two_replicas(server, name) for name in collections))
        # For up to ten seconds this version does not tell a new node what it may show, and hits are missing.
        _wait(callers.are_as_before, for_s=12)
        with callers.calling():
            cluster.query_nodes[1].kill()  # the one that was started again serves by itself
            time.sleep(10)
        log.info(
            "%d searches, %d answers, slowest %.1f s", callers.num_searches, callers.num_answers, callers.slowest_s
        )
        assert callers.slowest_s < 30
    server.close()


def _wait(is_so: Callable[[], bool], *, for_s: float = 0) -> None:
    """Wait until it is so, and has been for so many seconds."""
    start = since = time.monotonic()
    while True:
        if not is_so():
            since = time.monotonic()
        elif time.monotonic() >= since + for_s:
            return
        assert time.monotonic() < start + 90
        time.sleep(0.2)


def _hits(service: Rag, query: str) -> list[int]:
    return [hit.passage_id for hit in service.search(query)]


def _has_two_replicas(server: MilvusServer, collection: str) -> bool:
    try:
        replicas = server.run("describe_replica", collection)
    except IndexUnavailable:  # so it is told that one has no query node
        return False
    assert len(replicas) == 2
    return all(replica.group_nodes and all(shard.shard_leader > 0 for shard in replica.shards) for replica in replicas)
