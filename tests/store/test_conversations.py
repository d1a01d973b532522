"""Conversations and prompt chains in the log."""

from dataclasses import replace
from typing import Any

import pytest

from rag.errors import InvalidInput, NotFound
from rag.records import Caller, Hit, HitScores, Turn
from rag.store.access import put_document_labels
from rag.store.answer_links import AnswerLinks, chain_ids
from rag.store.answers import NewAnswer, get_answer, insert_answer
from rag.store.conversations import (
    conversation_turns,
    delete_conversation,
    get_conversation,
    list_conversations,
)

HR, NOBODY = Caller(access_labels=frozenset({"hr"})), Caller(access_labels=frozenset())
ANN, BOB = Caller(user_id="ann"), Caller(user_id="bob")
NEW = AnswerLinks(new_conversation=True)


def _hit(document_id: int) -> Hit:
    place = {"page": None, "row": None, "start": 0, "end": 4, "headings": ()}
    return Hit(
        passage_id=1,
        document_id=document_id,
        document_version=1,
        title="",
        source="s",
        origin="real",
        text="text",
        scores=HitScores(),
        **place,
    )


class Log:
    """Short ways to log answers and read them back."""

    def __init__(self, library: Any) -> None:
        self.library, self.database = library, library.database

    def put(
        self,
        question: str = "Q?",
        links: AnswerLinks = AnswerLinks(),  # noqa: B008 - frozen
        *,
        caller: Caller = Caller(),  # noqa: B008
        document_ids: tuple[int, ...] = (),
    ) -> int:
        new = NewAnswer(
            collection_id=self.library.collection_id,
            question=question,
            answer=f"A to {question}",
            abstained=False,
            confidence=1.0,
            citations=(),
            passages=[_hit(document_id) for document_id in document_ids],
            scores=(),
            timings_ms={},
            model="m",
            model_sha256=None,
            embedding_model="model",
            index_change_id=0,
            caller=caller,
            links=links,
        )
        with self.database.write() as session:
            return insert_answer(session, new)

    def links_of(self, answer_id: int) -> tuple[int | None, int | None, int | None, str | None]:
        with self.database.read() as session:
            answer = get_answer(session, answer_id).answer
        return answer.conversation_id, answer.previous_answer_id, answer.based_on_answer_id, answer.standalone_question


@pytest.fixture
def log(library: Any) -> Log:
    return Log(library)


def test_each_answer_of_a_conversation_knows_the_one_before(log: Log) -> None:
    first = log.put("First?", NEW)
    conversation_id = log.links_of(first)[0]
    assert conversation_id is not None
    second = log.put("And then?", AnswerLinks(conversation_id=conversation_id, standalone_question="Then first?"))
    log.put("Elsewhere?", NEW)
    third = log.put("Third?", AnswerLinks(conversation_id=conversation_id))
    assert log.links_of(first) == (conversation_id, None, None, None)
    assert log.links_of(second) == (conversation_id, first, None, "Then first?")
    assert log.links_of(third) == (conversation_id, second, None, None)
    with log.database.read() as session:
        content = get_conversation(session, conversation_id)
        turns = conversation_turns(session, conversation_id, limit=2)
    assert [answer.id for answer in content.answers] == [first, second, third]
    assert (content.summary.first_question, content.summary.num_answers) == ("First?", 3)
    assert content.summary.collection == "handbooks"
    assert turns == {second: Turn("Then first?", "A to And then?"), third: Turn("Third?", "A to Third?")}


def test_answer_without_a_conversation_has_no_links(log: Log) -> None:
    log.put("First?", NEW)
    assert log.links_of(log.put()) == (None, None, None, None)


def test_chain_is_read_back_in_order_and_begins_where_an_answer_is_not_for_the_caller(log: Log) -> None:
    first = log.put()
    second = log.put(links=AnswerLinks(based_on_answer_id=first), caller=HR)
    other = log.put(links=AnswerLinks(based_on_answer_id=first), caller=NOBODY)
    third = log.put(links=AnswerLinks(based_on_answer_id=second), caller=HR)
    with log.database.read() as session:
        assert chain_ids(session, third) == [first, second, third]
        assert chain_ids(session, other) == [first, other]
        assert chain_ids(session, third, limit=2) == [second, third]
        # The first one was asked by who sees everything.
        assert chain_ids(session, third, caller=HR) == [second, third]
        assert chain_ids(session, other, caller=NOBODY) == [other]
        with pytest.raises(NotFound, match=f"There is no answer {third}"):
            chain_ids(session, third, caller=NOBODY)
        with pytest.raises(NotFound, match="There is no answer 999"):
            chain_ids(session, 999)


def test_conversation_is_open_only_to_those_to_whom_all_its_answers_are(log: Log) -> None:
    conversation_id = log.links_of(log.put("First?", NEW, caller=NOBODY))[0]
    with log.database.read() as session:
        assert len(list_conversations(session, caller=NOBODY)) == 1
    log.put("Second?", AnswerLinks(conversation_id=conversation_id), caller=HR)
    with log.database.read() as session:
        assert list_conversations(session, caller=NOBODY) == []
        with pytest.raises(NotFound, match=f"There is no conversation {conversation_id}"):
            get_conversation(session, conversation_id, caller=NOBODY)
        with pytest.raises(NotFound):
            conversation_turns(session, conversation_id, limit=5, caller=NOBODY)
        assert len(get_conversation(session, conversation_id, caller=HR).answers) == 2
    with log.database.write() as session, pytest.raises(NotFound):
        delete_conversation(session, conversation_id, caller=NOBODY)


def test_conversation_is_closed_with_a_document_that_one_of_its_answers_was_read_from(log: Log) -> None:
    document_id = log.library.add("file:///a")
    conversation_id = log.links_of(log.put("First?", NEW, caller=NOBODY, document_ids=(document_id,)))[0]
    log.put("Second?", AnswerLinks(conversation_id=conversation_id), caller=NOBODY)
    with log.database.write() as session:
        put_document_labels(session, document_id, ["hr"])
    with log.database.read() as session:
        assert list_conversations(session, caller=NOBODY) == []


def test_answer_that_was_understood_by_a_closed_one_is_closed_too(log: Log) -> None:
    document_id = log.library.add("file:///a")
    first = log.put("Who keeps it?", NEW, caller=NOBODY, document_ids=(document_id,))
    conversation_id = log.links_of(first)[0]
    form = AnswerLinks(
        conversation_id=conversation_id, standalone_question="Where is Zebra?", context_answer_ids=(first,)
    )
    second = log.put("Where is she?", form, caller=NOBODY)
    third = log.put("Why?", replace(form, context_answer_ids=(second,)), caller=NOBODY)
    apart = log.put("Unrelated?", AnswerLinks(conversation_id=conversation_id), caller=NOBODY)
    with log.database.write() as session:
        put_document_labels(session, document_id, ["hr"])
    for answer_id in (second, third):
        with log.database.read() as session, pytest.raises(NotFound):
            get_answer(session, answer_id, caller=NOBODY)
    with log.database.read() as session:
        assert get_answer(session, apart, caller=NOBODY)
        assert get_answer(session, second, caller=HR)


def test_conversations_are_listed_for_their_user_alone(log: Log) -> None:
    of_ann, of_bob, of_nobody = (log.links_of(log.put("Q?", NEW, caller=who))[0] for who in (ANN, BOB, NOBODY))

    def listed(caller: Caller) -> list[int]:
        with log.database.read() as session:
            return [one.id for one in list_conversations(session, caller=caller)]

    assert listed(ANN) == [of_ann]
    assert listed(BOB) == [of_bob]
    assert listed(NOBODY) == [of_nobody]
    assert listed(Caller()) == [of_nobody, of_bob, of_ann]
    with log.database.read() as session, pytest.raises(NotFound):
        get_conversation(session, of_ann, caller=BOB)


def test_pages_of_conversations(log: Log) -> None:
    ids = [log.links_of(log.put("Q?", NEW))[0] for _ in range(3)]
    with log.database.read() as session:
        assert [one.id for one in list_conversations(session, limit=2)] == ids[:0:-1]
        assert [one.id for one in list_conversations(session, before_id=ids[1])] == [ids[0]]
        with pytest.raises(InvalidInput, match="limit"):
            list_conversations(session, limit=0)


def test_deleted_conversation_leaves_its_answers_in_the_log(log: Log) -> None:
    first = log.put("First?", NEW)
    conversation_id = log.links_of(first)[0]
    second = log.put("Second?", AnswerLinks(conversation_id=conversation_id))
    with log.database.write() as session:
        delete_conversation(session, conversation_id)
    assert log.links_of(second) == (None, first, None, None)
    with log.database.write() as session, pytest.raises(NotFound):
        delete_conversation(session, conversation_id)
    # An answer that was in work meanwhile is logged for itself.
    assert log.links_of(log.put("Late?", AnswerLinks(conversation_id=conversation_id))) == (None, None, None, None)
