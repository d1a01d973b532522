"""A small log of made-up questions, always the same: what docs/sql.md shows and what its test queries."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from rag.records import OWNER, Citation, Hit, HitScores
from rag.store import tables
from rag.store.answers import NewAnswer, Score, add_feedback, insert_answer
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.evaluations import start_evaluation
from rag.store.models import ModelFile, NewModel, add_model

FIRST_DAY = datetime(2025, 6, 2, 9, tzinfo=UTC)
WEIGHTS = {"reader-3": b"the third reader", "reader-4": b"the fourth reader"}
"""What stands for the weights of the models that answered; they are versions of ``team`` in the registry."""
METRICS = ("answerability", "answer_relevancy", "context_precision", "faithfulness")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A document of one passage. Its id is that of the passage, too."""

    id: int
    title: str
    text: str
    origin: str = "real"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, the day and minute of it, and what came of it; an empty answer is an abstention."""

    day: int
    question: str
    answer: str
    read: tuple[int, ...]
    confidence: float
    scores: tuple[float | None, ...] = (0.9, 0.8, 1.0, 1.0)
    total_ms: float = 120.0
    rerank_ms: float = 0.0
    collection: str = "handbook"
    model: str = "reader-3"
    feedback: tuple[dict[str, Any], ...] = field(default=())


LEAVE, TRAVEL, SUPPORT, RELEASES, PARKING, CANTEEN = range(1, 7)
SOURCES = {
    source.id: source
    for source in (
        Source(id=LEAVE, title="Leave", text="Staff have 28 days of leave a year. Leave is asked for by e-mail."),
        Source(id=TRAVEL, title="Travel", text="Receipts are handed in within thirty days. Trains are second class."),
        Source(
            id=SUPPORT, title="Support", text="The support rota is kept by Amara Diallo. Her deputy is Jonas Weber."
        ),
        Source(id=RELEASES, title="Releases", text="Version 4.2 came out on 3 March 2025. It needs Python 3.11."),
        Source(id=PARKING, title="Parking", text="Visitors park behind house B.", origin="synthetic"),
        Source(id=CANTEEN, title="Canteen", text="The canteen is open until two o'clock. Its menu is on the wall."),
    )
}
WITHHELD = (0.1, None, 0.0, None)
LOG = (
    Asked(day=0, question="How many days of leave are there?", answer="28 days", read=(LEAVE, TRAVEL), confidence=0.95,
          feedback=({"rating": 1}, {"rating": 1, "is_review": True, "user_id": "anna"},
                    {"rating": 1, "is_review": True, "user_id": "ben"})),
    Asked(day=0, question="Who keeps the support rota?", answer="Amara Diallo", read=(SUPPORT, LEAVE), confidence=0.93,
          feedback=({"rating": 1, "is_review": True, "user_id": "anna"},
                    {"rating": 1, "is_review": True, "user_id": "ben"})),
    Asked(day=0, question="What is the wifi password?", answer="", read=(PARKING,), confidence=0.05, scores=WITHHELD),
    Asked(day=1, question="When are receipts handed in?", answer="thirty days", read=(TRAVEL, LEAVE), confidence=0.81,
          scores=(0.9, 0.7, 1.0, 1.0),
          feedback=({"rating": -1, "comment": "of what?", "corrected_answer": "within thirty days"},
                    {"rating": -1, "corrected_answer": "within thirty days", "is_review": True, "user_id": "anna"},
                    {"rating": 1, "is_review": True, "user_id": "ben"})),
    Asked(day=1, question="what is the WIFI password", answer="", read=(PARKING, CANTEEN), confidence=0.07, scores=WITHHELD),
    Asked(day=1, question="Which version came out in March?", answer="4.2", read=(RELEASES,), confidence=0.88,
          collection="tickets", total_ms=150.0),
    Asked(day=2, question="Who is the deputy of Amara Diallo?", answer="Jonas Weber", read=(SUPPORT,), confidence=0.9,
          feedback=({"rating": 1},)),
    Asked(day=2, question="Which class do we travel in?", answer="28 days", read=(LEAVE, TRAVEL), confidence=0.9,
          scores=(0.8, 0.3, 0.5, 0.1),
          feedback=({"rating": -1, "corrected_answer": "second class", "wrong_passage_id": LEAVE},)),
    Asked(day=2, question="Which Python does it need?", answer="Python 3.11", read=(RELEASES,), confidence=0.86,
          collection="tickets", total_ms=140.0,
          feedback=({"rating": 1, "is_review": True, "user_id": "anna"},
                    {"rating": 1, "is_review": True, "user_id": "ben"})),
    Asked(day=3, question="What is the  wifi password?", answer="", read=(CANTEEN, PARKING), confidence=0.06, scores=WITHHELD),
    Asked(day=3, question="Where do visitors park?", answer="behind house B", read=(PARKING, TRAVEL), confidence=0.77,
          scores=(0.9, 0.8, 1.0, 0.9), total_ms=460.0, rerank_ms=310.0),
    Asked(day=3, question="Who approves leave?", answer="", read=(LEAVE,), confidence=0.22, scores=(0.3, None, 0.0, None),
          feedback=({"rating": 1, "is_review": True, "user_id": "anna"},
                    {"rating": -1, "comment": "it is in the handbook", "is_review": True, "user_id": "ben"})),
    Asked(day=7, question="How many days of leave are there?", answer="28 days", read=(LEAVE, CANTEEN), confidence=0.96,
          model="reader-4", total_ms=90.0),
    Asked(day=7, question="How is leave asked for?", answer="by e-mail", read=(LEAVE,), confidence=0.91,
          model="reader-4", total_ms=95.0, feedback=({"rating": 1},)),
    Asked(day=8, question="Who keeps the support rota?", answer="Jonas Weber", read=(SUPPORT,), confidence=0.58,
          scores=(0.7, 0.7, 1.0, 0.6), model="reader-4", total_ms=100.0,
          feedback=({"rating": -1},
                    {"rating": -1, "corrected_answer": "Amara Diallo", "is_review": True, "user_id": "anna"},
                    {"rating": -1, "corrected_answer": "Amara Diallo", "is_review": True, "user_id": "ben"})),
    Asked(day=8, question="Who approves leave?", answer="", read=(LEAVE, SUPPORT), confidence=0.2,
          scores=(0.3, None, 0.0, None), model="reader-4", total_ms=98.0),
    Asked(day=8, question="Which version is the newest?", answer="Version 4.2", read=(RELEASES,), confidence=0.25,
          scores=(0.6, 0.5, 1.0, 0.8), collection="tickets", model="reader-4", total_ms=310.0),
)  # fmt: skip


def fill(database: Database) -> None:
    """Put the log into a database that holds none, and one answer of an evaluation, which no view shows."""
    with database.write() as session:
        ids = {
            name: get_or_create_collection(session, name, embedding_model="all-MiniLM-L6-v2").id
            for name in ("handbook", "tickets")
        }
        for weights in WEIGHTS.values():
            sha256 = hashlib.sha256(weights).hexdigest()
            file = ModelFile(path="reader.safetensors", num_bytes=len(weights), sha256=sha256)
            new = NewModel(name="team", kind="reader", files=[file])
            add_model(session, new, lambda _, content=weights: iter([content]), caller=OWNER)
        for number, asked in enumerate(LOG):
            moment = FIRST_DAY + timedelta(days=asked.day, minutes=7 * number)
            answer_id = insert_answer(session, _new_answer(asked, ids[asked.collection]))
            _date(session, tables.Answer, tables.Answer.id == answer_id, moment)
            for given in asked.feedback:
                feedback_id = add_feedback(session, answer_id, **given)
                _date(session, tables.Feedback, tables.Feedback.id == feedback_id, moment + timedelta(hours=1))
        run_id = start_evaluation(
            session, file="questions.json", file_sha256="0", collection_id=ids["handbook"], settings={}
        )
        insert_answer(session, _new_answer(LOG[0], ids["handbook"], evaluation_run_id=run_id))


def _date(session: Any, table: Any, which: Any, moment: datetime) -> None:
    session.execute(update(table).where(which).values(created_at=moment))


def _new_answer(asked: Asked, collection_id: int, **more: Any) -> NewAnswer:
    places = enumerate(asked.read, start=1)
    cited = next((SOURCES[n] for n in asked.read if asked.answer and asked.answer in SOURCES[n].text), None)
    return NewAnswer(
        collection_id=collection_id,
        question=asked.question,
        answer=asked.answer,
        abstained=not asked.answer,
        confidence=asked.confidence,
        citations=() if cited is None else (_citation(cited, asked.answer),),
        passages=[_hit(SOURCES[number], rank, answered=bool(asked.answer)) for rank, number in places],
        scores=[
            Score(metric=metric, value=value, scorer="rag", scorer_version="1")
            for metric, value in zip(METRICS, asked.scores, strict=True)
            if value is not None
        ],
        timings_ms={
            "embed": 8.0,
            "retrieve": 12.0,
            **({"rerank": asked.rerank_ms} if asked.rerank_ms else {}),
            "read": asked.total_ms - asked.rerank_ms - 25.0,
            "score": 5.0,
            "total": asked.total_ms,
        },
        model=asked.model,
        model_sha256=hashlib.sha256(WEIGHTS[asked.model]).hexdigest(),
        embedding_model="all-MiniLM-L6-v2",
        index_change_id=5,
        settings={"top_k": 2},
        **more,
    )


def _citation(source: Source, quote: str) -> Citation:
    start = source.text.index(quote)
    return Citation(
        passage_id=source.id,
        document_id=source.id,
        document_version=1,
        title=source.title,
        source=f"file:///handbook/{source.title.lower()}.md",
        origin=source.origin,
        page=None,
        row=None,
        start=start,
        end=start + len(quote),
        quote=quote,
    )


def _hit(source: Source, rank: int, *, answered: bool) -> Hit:
    return Hit(
        passage_id=source.id,
        document_id=source.id,
        document_version=1,
        title=source.title,
        source=f"file:///handbook/{source.title.lower()}.md",
        origin=source.origin,
        headings=(source.title,),
        page=None,
        row=None,
        start=0,
        end=len(source.text),
        text=source.text,
        scores=HitScores(
            keyword=6.0 / rank,
            vector=0.6 / rank,
            fused=0.9 / rank,
            relevance=(0.95 if answered else 0.2) / rank,
            keyword_rank=rank,
            vector_rank=rank,
        ),
    )
