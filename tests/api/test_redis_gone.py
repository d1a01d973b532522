"""Several servers over one Redis server: rates are counted together, answers are found, and nothing needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.api.rate_limits import TokenBuckets
from rag.api.service import ServiceKeeper
from rag.api.shared_rate_limits import SharedTokenBuckets
from rag.assemble import Rag
from rag.config import Settings
from rag.records import OWNER
from rag.store.api_keys import NewApiKey, create_api_key
from tests.redis_server import running_redis

QUESTION = {"question": "Who keeps the support rota?"}


def ask(server: TestClient) -> Any:
    response = server.post("/v1/answers", json=QUESTION)
    assert response.status_code == 200, response.text
    return response.json()


def test_server_answers_without_redis_says_so_and_shares_again_when_it_is_back(
    settings: Settings, tmp_path: Path
) -> None:
    with running_redis(tmp_path) as redis:
        shared = settings.model_copy(update={"redis_url": redis.url})
        with TestClient(create_app(shared)) as one, TestClient(create_app(shared)) as other:
            one.post("/v1/documents", files={"file": ("rota.txt", b"The support rota is kept by Amara Diallo.")})
            assert one.get("/readyz").json()["redis"] == "ready"
            first, second = ask(one), ask(other)
            assert first["answer"] == second["answer"] == "Amara Diallo"
            metrics = other.get("/metrics").text
            assert 'rag_repeated_answers_total{found="yes"} 1.0' in metrics
            assert "rag_redis_up 1.0" in metrics
            redis.stop()
            assert ask(other)["answer"] == "Amara Diallo"
            ready = other.get("/readyz")
            assert ready.status_code == 200
            assert ready.json()["redis"].startswith("degraded: Redis does not answer")
            assert "rag_redis_up 0.0" in other.get("/metrics").text
            assert len(one.get("/v1/answers").json()["answers"]) == 3


def test_without_redis_readiness_does_not_speak_of_it(server: TestClient) -> None:
    assert set(server.get("/readyz").json()) == {"database", "models", "index"}


def test_key_has_one_rate_over_all_servers(
    settings: Settings, redis_url: str, check_problem: Callable[..., str]
) -> None:
    shared = settings.model_copy(update={"redis_url": redis_url, "host": "0.0.0.0"})
    with Rag(shared) as one, Rag(shared) as other:
        with one.database.write() as session:
            _, words = create_api_key(
                session, NewApiKey(user_id="a", role="reader", rate_limit_per_minute=3), caller=OWNER
            )
        headers = {"Authorization": f"Bearer {words}"}
        clients = [
            TestClient(create_app(shared, service=service), base_url="http://rag.example.org", headers=headers)
            for service in (one, other)
        ]
        statuses = [clients[number % 2].get("/v1/collections").status_code for number in range(3)]
        assert statuses == [200, 200, 200]
        for client in clients:
            assert "wait" in check_problem(client.get("/v1/collections"), 429, "rate-limited")


def test_shared_buckets_fill_as_those_of_one_process_do(settings: Settings, redis_url: str) -> None:
    with Rag(settings.model_copy(update={"redis_url": redis_url})) as service:
        buckets = SharedTokenBuckets(ServiceKeeper(service.settings, service), TokenBuckets())
        waits = [buckets.take("a", per_minute=600) for _ in range(601)]
        assert max(waits[:600]) == 0
        assert buckets.take("b", per_minute=600) == 0
        assert all(0 <= wait <= 0.1 for wait in waits)
        slow = [buckets.take("c", per_minute=2) for _ in range(3)]
        assert slow[:2] == [0, 0]
        assert 25 < slow[2] <= 30


def test_rates_are_counted_in_the_process_while_redis_is_away(settings: Settings, tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as redis,
        Rag(settings.model_copy(update={"redis_url": redis.url})) as service,
    ):
        buckets = SharedTokenBuckets(ServiceKeeper(service.settings, service), TokenBuckets())
        assert buckets.take("a", per_minute=1) == 0
        redis.stop()
        assert [buckets.take("a", per_minute=1) > 0 for _ in range(2)] == [False, True]
