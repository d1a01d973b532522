"""The same against a real Milvus server, version 2.3.5: vectors there, words in PostgreSQL.

Skipped unless the package is there that brings the server: ``pip install milvus==2.3.5``.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag.errors import IndexUnavailable
from rag.index.milvus_collection import MilvusCollection
from rag.index.milvus_server import MilvusServer
from rag.records import Caller
from rag.store.database import Database
from rag.store.documents import mark_deleted
from tests.index.corpus import DIMENSION, Corpus, search
from tests.milvus_server import StandaloneServer, running_standalone

pytest.importorskip("milvus", reason="opt-in: pip install milvus==2.3.5")
pytestmark = pytest.mark.slow

NOBODY = Caller(access_labels=frozenset())


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneServer]:
    with running_standalone(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def corpus(postgres_search_database: Database, tmp_path: Path) -> Corpus:
    return Corpus(postgres_search_database, tmp_path)


def test_two_processes_find_what_either_takes_in_and_a_killed_server_loses_nothing(
    corpus: Corpus, standalone: StandaloneServer
) -> None:
    with corpus.database.write() as session:
        for number in range(300):
            corpus.insert(session, [corpus.text()], metadata={"number": number})
    clients = [MilvusServer(standalone.url) for _ in range(2)]
    one, other = (corpus.milvus(client) for client in clients)
    embedded = corpus.embedded()
    for number in range(10):
        query, (vector,) = corpus.text(), corpus.vectors(1)
        ours = search((one, other)[number % 2], query, vector, candidates=50)
        theirs = search(embedded, query, vector, candidates=50)
        assert set(ours) == set(theirs)
        for passage_id, scores in theirs.items():
            assert ours[passage_id].fused == pytest.approx(scores.fused, abs=5e-3)
    for _ in range(20):  # at once, whoever fed
        (vector,) = corpus.vectors(1)
        document_id = corpus.add(["something new"], vector[None], labels=("hr",))
        (first, *_) = search(one, "", vector, mode="vector", candidates=5)
        assert [first, *_] == list(search(other, "", vector, mode="vector", candidates=5))
        assert search(other, "", vector, mode="vector", caller=NOBODY).keys().isdisjoint({first})
        with corpus.database.write() as session:
            mark_deleted(session, document_id)
        assert first not in search(other, "", vector, mode="vector", candidates=5)
    assert len(search(one, "", vector, mode="vector", filters={"number": {"$lt": 3}})) == 3
    assert (len(one), one.problem(), one.vector_recall()) == (300, None, 1.0)

    with pytest.raises(IndexUnavailable, match="too few query nodes for milvus_replicas = 2"):
        MilvusCollection(clients[0], "rag_twice", num_replicas=2).begin(DIMENSION)
    corpus.add(["in between"], vector[None])
    assert len(search(one, "in between", vector)) > 0

    standalone.kill()
    with pytest.raises(IndexUnavailable, match="Nothing is lost"):
        search(one, "", vector, mode="vector")
    corpus.add(["meanwhile"], np.array([vector]))
    standalone.start()
    end = time.monotonic() + 120
    while True:
        try:
            found = search(other, "meanwhile", vector)
        except IndexUnavailable:
            assert time.monotonic() < end
            time.sleep(0.5)
        else:
            break
    assert next(iter(found.values())).keyword_rank == 1
    assert (other.problem(), other.vector_recall()) == (None, 1.0)
    one.rebuild()
    assert (len(other), other.problem()) == (302, None)
    embedded.close()
    for client in clients:
        client.close()
