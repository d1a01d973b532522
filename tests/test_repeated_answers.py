"""The same question again gets the answer that is in the log, as long as nothing that it depends on has changed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput
from rag.ingest.labels import NO_LABELS, Labels
from rag.records import OWNER, Answer, SearchOptions
from rag.store import tables
from rag.store.answer_links import AnswerLinks
from rag.store.answers import get_answer

QUESTION = "Who keeps the support rota?"
ROTA = b"The support rota is kept by Amara Diallo. Tickets are answered within four hours."
READER = replace(OWNER, role="reader", access_labels=frozenset())
HR_ONLY = Labels(tags={}, access_labels=("hr",))
HR = replace(OWNER, role="reader", access_labels=frozenset({"hr"}))


@pytest.fixture
def settings(sqlite_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=sqlite_url, data_dir=tmp_path / "data", redis_url=redis_url)


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    with Rag(settings) as opened:
        put(opened, "rota.txt", ROTA)
        yield opened


def put(service: Rag, name: str, words: bytes, labels: Labels = NO_LABELS) -> None:
    service.ingester.upload(words, name=name, collection="default", labels=labels)


def num_found(service: Rag) -> int:
    assert service.answer_cache is not None
    return service.answer_cache.lookups().num_found


def settings_of(service: Rag, answer: Answer) -> Any:
    with service.database.read() as session:
        return get_answer(session, answer.id).settings


def what_people_see(answer: Answer) -> Answer:
    return replace(answer, id=0, timings_ms={}, created_at=answer.created_at.min)


def test_second_answer_is_the_first_one_and_has_a_row_of_its_own(service: Rag, settings: Settings) -> None:
    seen = list[Any]()
    first = service.ask(QUESTION)
    second = service.ask(QUESTION, on_found=seen.append)
    assert num_found(service) == 1
    assert seen == [second.passages]
    assert second.id == first.id + 1
    assert what_people_see(second) == what_people_see(first)
    assert list(second.timings_ms) == ["total"]
    assert settings_of(service, second) == {**settings_of(service, first), "repeats_answer_id": first.id}
    with Rag(settings) as other_process:
        third = other_process.ask(QUESTION)
    assert settings_of(service, third)["repeats_answer_id"] == first.id
    replayed = service.replay(third.id)
    assert replayed.same
    assert not replayed.changed


def test_nothing_but_ids_lies_in_redis(service: Rag, redis_url: str) -> None:
    answer = service.ask(QUESTION)
    with Redis.from_url(redis_url) as redis:
        (key,) = redis.scan_iter()
        assert redis.get(key) == str(answer.id).encode()
        assert b"rota" not in key


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "Who keeps the support rota ?"},
        {"top_k": 1},
        {"filters": {"origin": "real"}},
        {"abstain": False},
        {"search": SearchOptions(mode="keyword")},
        {"search": SearchOptions(keyword_weight=0.5)},
        {"caller": READER},
    ],
    ids=str,
)
def test_what_is_asked_otherwise_is_answered_anew(service: Rag, changed: dict[str, Any]) -> None:
    service.ask(QUESTION)
    asked = {"question": QUESTION, **changed}
    service.ask(**asked)
    assert num_found(service) == 0
    service.ask(**asked)
    assert num_found(service) == 1


def _add(service: Rag) -> None:
    put(service, "other.txt", b"The rota of the canteen is kept by Joana Reis.")


def _delete(service: Rag) -> None:
    service.ingester.remove(1)


def _label(service: Rag) -> None:
    put(service, "rota.txt", ROTA, HR_ONLY)  # no passage enters or leaves the index


def _forget(service: Rag) -> None:
    with service.database.write() as session:
        session.execute(text("UPDATE answers SET question = ''"))


@pytest.mark.parametrize("change", [_add, _delete, _label, _forget])
def test_change_of_documents_or_of_the_log_empties_it(service: Rag, change: Callable[[Rag], None]) -> None:
    service.ask(QUESTION)
    change(service)
    service.ask(QUESTION)
    assert num_found(service) == 0


def test_answer_never_crosses_access_labels(service: Rag) -> None:
    put(service, "budget.txt", b"The budget is kept by Zebra Quartz.", HR_ONLY)
    question = "Who keeps the budget?"
    assert service.ask(question, caller=HR).answer == "Zebra Quartz"
    for caller in (READER, replace(HR, access_labels=frozenset({"hr", "board"}))):
        service.ask(question, caller=caller)
    assert num_found(service) == 0
    assert service.ask(question, caller=READER).answer != "Zebra Quartz"


def test_id_that_somebody_put_there_gives_nobody_an_answer_that_is_not_theirs(service: Rag, redis_url: str) -> None:
    put(service, "budget.txt", b"The budget is kept by Zebra Quartz.", HR_ONLY)
    secret = service.ask("Who keeps the budget?", caller=HR)
    service.ask("Who keeps the budget?", caller=READER)
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter():
            redis.set(key, secret.id)
    again = service.ask("Who keeps the budget?", caller=READER)
    assert "Zebra" not in repr(again)
    assert num_found(service) == 0


def test_filter_that_is_nested_too_deep_is_refused_as_without_redis(service: Rag) -> None:
    deep: Any = "real"
    for _ in range(100_000):
        deep = {"$not": deep}
    with pytest.raises(InvalidInput, match="nested deeper"):
        service.ask(QUESTION, filters={"origin": deep})


def test_answer_that_is_masked_in_the_log_is_not_repeated(settings: Settings) -> None:
    with Rag(settings.model_copy(update={"mask_personal_data": ("email",)})) as masking:
        put(masking, "mail.txt", b"The rota is kept by rota@example.org.")
        for _ in range(2):
            masking.ask("Which address keeps the rota, ana@example.org?")
        assert num_found(masking) == 0


def test_later_scores_belong_to_their_own_answer(service: Rag) -> None:
    first = service.ask(QUESTION)
    with service.database.write() as session:
        row = {"metric": "judged", "value": 0.0, "scorer": "judge", "scorer_version": "1"}
        session.add(tables.AnswerScore(answer_id=first.id, created_at=first.created_at, **row))
    assert "judged" not in service.ask(QUESTION).scores


def test_follow_up_is_found_by_the_form_that_is_read(service: Rag) -> None:
    begun = service.ask(QUESTION, links=AnswerLinks(new_conversation=True))
    links = AnswerLinks(conversation_id=begun.conversation_id)
    again = service.ask(QUESTION, links=links)
    assert num_found(service) == 1
    assert (again.conversation_id, again.previous_answer_id) == (begun.conversation_id, begun.id)


def test_without_redis_or_with_no_seconds_every_question_is_answered_anew(settings: Settings) -> None:
    for changed in ({"redis_url": ""}, {"answer_cache_s": 0}):
        with Rag(settings.model_copy(update=changed)) as service:
            put(service, "rota.txt", ROTA)
            ids = [service.ask(QUESTION).id for _ in range(2)]
            assert service.answer_cache is None
            with service.database.read() as session:
                assert "repeats_answer_id" not in get_answer(session, ids[1]).settings
