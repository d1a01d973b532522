"""What goes over the wire: requests and responses, apart from the records, so that what leaves is chosen.

A response takes from a record the fields that it declares, by name. The command line prints the same with ``--json``.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from rag.api.paging import NEXT
from rag.records import ConfidenceKind, Origin
from rag.store.answers import LoggedAnswer
from rag.store.documents import DocumentText, StoredDocument
from rag.store.passages import PassageRange

FILTERS = (
    "All must hold. source, file, title, media_type, origin, version, created_at and updated_at mean the document "
    "itself; any other name means the tag or the metadata value of that name."
)
FILTER_OBJECT = (
    f"{FILTERS} A value is text, a number, true or false, or an object of operators: $eq, $ne, $in, $nin, $exists, and "
    "on numbers and dates $gt, $gte, $lt, $lte. tags takes $any and $all of name or name=value. $and, $or and $not "
    "join filters."
)
FILTER_TEXT = f"name=value (or !=, >, >=, <, <=) or a JSON object, any number of times. {FILTERS}"
ACCESS_LABELS = "Whoever holds one of these may see it; everyone where there is none."


class Request(BaseModel):
    """A request body. Unknown fields are refused: a misspelt option must not be silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Response(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class RecordResponse(Response):
    """A response body that shows one record."""

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """The record as it goes over the wire."""
        return cls.model_validate(record, from_attributes=True)


class FeedbackRequest(Request):
    """What a person says of an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rating": -1, "comment": "That was last year.", "corrected_answer": "Amara Diallo"}]
        }
    )

    rating: Literal[-1, 1] = Field(description="1 for good, -1 for bad.")
    comment: str | None = None
    corrected_answer: str | None = None
    wrong_passage_id: int | None = Field(default=None, description="The passage, of those read, that is wrong.")
    is_review: bool = Field(default=False, description="A reviewer's judgement, not the thumb of whoever asked.")
    user_id: str | None = Field(None, description="Who says it; with a key, its user, and left out.")


class CitationResponse(RecordResponse):
    """The exact characters that an answer rests on: ``quote`` is ``text[start:end]`` of that version of the document.

    ``start`` and ``end`` count Unicode code points.
    """

    document_id: int
    document_version: int
    passage_id: int
    title: str
    source: str
    origin: Origin
    page: int | None
    row: int | None
    start: int
    end: int
    quote: str


class HitScoresResponse(RecordResponse):
    """Why a passage was found; null where that leg did not find it, or no reader saw it."""

    keyword: float | None = Field(description="BM25.")
    vector: float | None = Field(description="Cosine, -1 to 1.")
    fused: float | None = Field(description="What both legs together rank by, 0 to 1.")
    relevance: float | None = Field(description="The reader's judgement, 0 to 1.")
    keyword_rank: int | None = Field(description="Its place in what the keyword leg found, from 1.")
    vector_rank: int | None = Field(description="Its place in what the vector leg found, from 1.")


class DocumentReferenceResponse(RecordResponse):
    """Where the same words stand as well."""

    document_id: int
    title: str
    source: str
    origin: Origin | None = Field(description="Null in answers that were logged before it was.")


class HitResponse(RecordResponse):
    """A passage that was found: the characters ``start`` to ``end`` of that version of the document."""

    id: int = Field(validation_alias="passage_id", description="The passage's id.")
    document_id: int
    document_version: int
    title: str
    source: str
    origin: Origin
    headings: list[str]
    page: int | None
    row: int | None
    start: int
    end: int
    text: str
    scores: HitScoresResponse
    near_duplicate_of: int | None = Field(description="The document that this one nearly repeats.")
    also_in: list[DocumentReferenceResponse] = Field(description="Documents that hold the same words.")


class SearchResponse(Response):
    """Passages, best first."""

    hits: list[HitResponse]


class AnswerSpanResponse(RecordResponse):
    """Where the characters ``answer_start`` to ``answer_end`` of an answer come from.

    ``citation`` is the position, from 0, of the citation that they were copied from, and ``start`` and ``end`` are
    theirs in its document; null where the model wrote them itself.
    """

    answer_start: int
    answer_end: int
    citation: int | None
    start: int | None
    end: int | None


class AnswerResponse(RecordResponse):
    """An answer, as logged. Where ``abstained``, ``answer`` is empty and ``passages`` are the closest there are."""

    id: int
    question: str
    collection: str
    answer: str
    abstained: bool
    confidence: float = Field(description="0 to 1; confidence_kind says of what.")
    confidence_kind: ConfidenceKind = Field(
        description="probability: calibrated, that the answer is right. support: the share of the answer that its "
        "citations were found to support."
    )
    citations: list[CitationResponse]
    spans: list[AnswerSpanResponse] = Field(description="Where each character of the answer comes from, in order.")
    unsupported: list[tuple[int, int]] = Field(
        description="Ranges of the answer, start and end, that no citation was found to support."
    )
    notes: list[str] = Field(description="What to know of this answer, a sentence each: an unknown language, say.")
    passages: list[HitResponse] = Field(description="What was read, most relevant first.")
    scores: dict[str, float] = Field(description="Quality scores, by metric.")
    timings_ms: dict[str, float] = Field(description="Milliseconds, by stage.")
    model: str
    created_at: datetime
    standalone_question: str | None = Field(
        description="What a follow-up was understood as: this was searched and read. Null: the question itself."
    )
    conversation_id: int | None
    previous_answer_id: int | None = Field(description="The answer before it in its conversation.")
    based_on_answer_id: int | None = Field(description="The answer that it builds on.")
    masked: list[str] = Field(description="Fields of the log in which personal data is masked.")


class ScoreResponse(RecordResponse):
    """One quality score of an answer, with who gave it."""

    metric: str
    value: float
    scorer: str
    scorer_version: str


class FeedbackResponse(RecordResponse):
    """What a person said of an answer: ``rating`` is 1 for good and -1 for bad."""

    id: int
    answer_id: int
    rating: int
    comment: str | None
    corrected_answer: str | None
    wrong_passage_id: int | None
    is_review: bool
    user_id: str | None
    created_at: datetime


class LoggedAnswerResponse(AnswerResponse):
    """Everything that was logged of an answer. ``scores`` holds the last value of each metric, ``all_scores`` all."""

    collection_id: int
    model_sha256: str | None
    embedding_model: str
    index_change_id: int = Field(description="The last index change that the search saw.")
    settings: dict[str, Any] = Field(description="What shaped the answer.")
    dataset_id: int | None = Field(description="The newest dataset, if it was just what the collection then held.")
    dataset: str | None = Field(description="Its name.")
    evaluation_run_id: int | None
    user_id: str | None = Field(description="Who asked; null where no key was needed, or before keys were known.")
    all_scores: list[ScoreResponse]
    feedback: list[FeedbackResponse]

    @classmethod
    def from_record(cls, record: LoggedAnswer) -> Self:
        """The logged answer as it goes over the wire."""
        answer = AnswerResponse.from_record(record.answer)
        return cls(
            **{name: getattr(answer, name) for name in AnswerResponse.model_fields},
            collection_id=record.collection_id,
            model_sha256=record.model_sha256,
            embedding_model=record.embedding_model,
            index_change_id=record.index_change_id,
            settings=dict(record.settings),
            dataset_id=record.dataset_id,
            dataset=record.dataset,
            evaluation_run_id=record.evaluation_run_id,
            user_id=record.user_id,
            all_scores=[ScoreResponse.from_record(score) for score in record.scores],
            feedback=[FeedbackResponse.from_record(feedback) for feedback in record.feedback],
        )


class AnswerSummary(RecordResponse):
    """One row of the SQL view ``answer_review``. Rating, comment and correction are those of the last feedback."""

    answer_id: int
    created_at: datetime
    collection: str
    question: str
    answer: str
    abstained: bool
    confidence: float
    answerability: float | None
    answer_relevancy: float | None
    context_precision: float | None
    faithfulness: float | None
    num_citations: int
    first_quote: str | None
    first_source: str | None
    first_title: str | None
    first_origin: Origin | None
    num_passages: int
    num_synthetic_citations: int
    num_synthetic_passages: int
    rating: int | None
    comment: str | None
    corrected_answer: str | None
    wrong_passage_id: int | None
    is_review: bool | None
    rated_by: str | None
    rated_at: datetime | None
    num_feedback: int
    num_thumbs_up: int
    num_thumbs_down: int
    num_reviews: int
    model: str
    embedding_model: str
    dataset: str | None
    embed_ms: float | None
    retrieve_ms: float | None
    rerank_ms: float | None
    read_ms: float | None
    score_ms: float | None
    total_ms: float | None


class AnswerListResponse(Response):
    """A page of the log, newest first."""

    answers: list[AnswerSummary]
    next: str | None = Field(description=NEXT)


class DocumentResponse(Response):
    """A document without its text. ``version`` counts from 1."""

    id: int
    collection: str
    source: str = Field(description="Its URI, unique in its collection.")
    file: str = Field(description="The URI of the file that it was read from.")
    title: str
    media_type: str
    origin: Origin
    access_labels: list[str] = Field(description=ACCESS_LABELS)
    tags: dict[str, str]
    metadata: dict[str, str | int | float | bool | None]
    version: int
    text_sha256: str
    duplicate_of: int | None = Field(description="The document with the same words, whose passages are searched.")
    near_duplicate_of: int | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @classmethod
    def from_record(cls, stored: StoredDocument, *, collection: str) -> Self:
        """The document as it goes over the wire; ``collection`` is the name of its collection."""
        return cls.model_validate({**asdict(stored), "collection": collection})


class SectionResponse(RecordResponse):
    """What stands under one heading, on one page or in one row."""

    start: int
    end: int
    headings: list[str]
    page: int | None
    row: int | None


class PassageRangeResponse(RecordResponse):
    """Where a passage stands in its document."""

    id: int
    start: int
    end: int
    page: int | None
    row: int | None


class DocumentTextResponse(DocumentResponse):
    """A document with one version's text. ``version``, ``title`` and ``text_sha256`` are that version's too."""

    current_version: int
    text: str
    sections: list[SectionResponse]
    passages: list[PassageRangeResponse] = Field(
        description="What searches find of it, in the order of the text. Earlier versions, duplicates and deleted "
        "documents have none."
    )

    @classmethod
    def from_record(  # type: ignore[override]
        cls, found: DocumentText, *, collection: str, passages: Sequence[PassageRange]
    ) -> Self:
        """The document with its text as it goes over the wire."""
        return cls.model_validate(
            {
                **asdict(found.document),
                "collection": collection,
                "version": found.version,
                "title": found.title,
                "text_sha256": found.text_sha256,
                "current_version": found.document.version,
                "text": found.text,
                "sections": found.sections,
                "passages": passages,
            },
            from_attributes=True,
        )


class DocumentListResponse(Response):
    """A page of documents, by id."""

    documents: list[DocumentResponse]
    next: str | None = Field(description=NEXT)


class HealthResponse(Response):
    """The process is up."""

    status: Literal["up"]


class ReadinessResponse(Response):
    """What an answer needs: each part is `ready`, or says in a sentence what is wrong with it."""

    database: str = Field(description="Reachable and migrated.")
    models: str = Field(description="Embedding model and reader are loaded.")
    index: str = Field(description="The indexes of the collections are open.")
    redis: str | None = Field(
        None, description="Where redis_url is set: it answers; else it begins with `degraded`, and nothing is refused."
    )
