"""A log with everything that can hang on an answer, for the tests of encryption, retention and erasure."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text, update

from rag.records import Answer, Caller, Citation, Hit, HitScores
from rag.store import tables
from rag.store.answer_links import AnswerLinks
from rag.store.answers import NewAnswer, Score, add_feedback, get_answer, insert_answer
from rag.store.api_keys import NewApiKey, create_api_key
from rag.store.audit import put_audit_event
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.evaluations import QuestionResult, add_results, start_evaluation
from rag.store.sign_ins import create_sign_in

SECRET = "plumage"
"""A word that stands in every text of the log."""
WORDS = f"The {SECRET} of the heron is grey."
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TEXTS = {
    "answers": ("question", "answer", "standalone_question"),
    "answer_passages": ("text",),
    "citations": ("quote",),
    "feedback": ("comment", "corrected_answer"),
    "evaluation_results": ("question", "prediction"),
}
"""The columns that hold words of people and models."""


def log_answer(
    database: Database,
    *,
    user: str | None = "amara",
    days_old: int = 0,
    collection: str = "birds",
    links: AnswerLinks | None = None,
    evaluation_run_id: int | None = None,
    with_feedback: bool = True,
) -> Answer:
    """Log an answer with a passage, a citation, a score and feedback by its asker."""
    with database.write() as session:
        made = get_or_create_collection(session, collection, embedding_model="e")
        answer_id = insert_answer(session, _new_answer(made.id, user, links, evaluation_run_id))
        if with_feedback:
            add_feedback(
                session, answer_id, rating=-1, comment=f"no {SECRET}", corrected_answer=f"white {SECRET}", user_id=user
            )
        moment = NOW - timedelta(days=days_old)
        session.execute(update(tables.Answer).where(tables.Answer.id == answer_id).values(created_at=moment))
        return get_answer(session, answer_id).answer


def fill(database: Database) -> None:
    """Three people's answers, a conversation, a chain, an evaluation, keys, a sign-in, and what was audited."""
    first = log_answer(database, days_old=100, links=AnswerLinks(new_conversation=True))
    links = AnswerLinks(
        conversation_id=first.conversation_id,
        based_on_answer_id=first.id,
        standalone_question=f"And the {SECRET} of the stork?",
        context_answer_ids=(first.id,),
    )
    log_answer(database, days_old=10, links=links)
    log_answer(database, user="jonas", days_old=50)
    log_answer(database, user=None, days_old=200, collection="other")
    with database.write() as session:
        run_id = start_evaluation(session, file="f", file_sha256="0", collection_id=1, settings={})
    evaluated = log_answer(database, user=None, days_old=300, evaluation_run_id=run_id, with_feedback=False)
    with database.write() as session:
        result = QuestionResult(
            question_id="1", question=WORDS, reference_answers=(), prediction=SECRET, exact_match=0.0, f1=0.0,
            abstained=False, answer_id=evaluated.id,
        )  # fmt: skip
        add_results(session, run_id, [result])
        add_results(session, run_id, [QuestionResult(**{**_fields(result), "question_id": "2", "answer_id": first.id})])
        add_feedback(session, 3, rating=1, comment=f"good {SECRET}", user_id="amara")
        key, _ = create_api_key(session, NewApiKey(user_id="amara"), caller=Caller(os_user="root"))
        create_api_key(session, NewApiKey(user_id="jonas", role="administrator"), caller=Caller(user_id="amara"))
        create_sign_in(session, key.id, hours=1)
        put_audit_event(session, Caller(user_id="amara", api_key_id=key.id), "answer.read", target=3)
        put_audit_event(session, Caller(os_user="root"), "user.export", target="amara")
        put_audit_event(session, Caller(), "sql.query", details={"query": "SELECT 1 WHERE user_id = 'amara'"})
        session.execute(
            insert(tables.IdempotencyKey),
            [
                {
                    "scope": f'["{user}", null, null]',
                    "key": "k",
                    "request_sha256": "",
                    "claimed_at": NOW,
                    "expires_at": NOW,
                }
                for user in ("amara", "amaranth")
            ],
        )


def stored_words(database: Database) -> list[str]:
    """All that stands in the columns that hold words, as it is stored."""
    with database.read() as session:
        return [
            words
            for table, columns in TEXTS.items()
            for column in columns
            for words in session.scalars(text(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"))  # noqa: S608
            if words
        ]


def _fields(result: QuestionResult) -> dict[str, object]:
    return {name: getattr(result, name) for name in result.__slots__}


def _new_answer(
    collection_id: int, user: str | None, links: AnswerLinks | None, evaluation_run_id: int | None
) -> NewAnswer:
    place = {
        "passage_id": 1, "document_id": 1, "document_version": 1, "title": "Birds", "source": "birds.txt",
        "origin": "real", "page": None, "row": None, "start": 0, "end": len(WORDS),
    }  # fmt: skip
    return NewAnswer(
        collection_id=collection_id,
        question=f"What colour is the {SECRET} of the heron?",
        answer=f"grey {SECRET}",
        abstained=False,
        confidence=0.5,
        citations=[Citation(quote=WORDS, **place)],
        passages=[Hit(text=WORDS, headings=("Birds",), scores=HitScores(fused=0.5), **place)],
        scores=[Score(metric="faithfulness", value=0.25, scorer="rag", scorer_version="1")],
        timings_ms={"total": 12.5},
        model="m",
        model_sha256=None,
        embedding_model="e",
        index_change_id=0,
        settings={"top_k": 3, "filters": {"kind": f"with {SECRET}"}},
        caller=Caller(user_id=user),
        evaluation_run_id=evaluation_run_id,
        links=links or AnswerLinks(),
    )
