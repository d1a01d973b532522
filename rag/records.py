"""The nouns that every part passes around: frozen records, no behaviour, no I/O.

Character offsets count Unicode code points, end exclusive, so ``text[start:end]`` is always the quote.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Metadata = Mapping[str, str | int | float | bool | None]

Origin = Literal["real", "synthetic"]
SearchMode = Literal["hybrid", "keyword", "vector"]
Fusion = Literal["adaptive", "convex", "rrf"]
Role = Literal["reader", "contributor", "reviewer", "administrator"]
"""What somebody may do; each may do what those before it may. See ``rag.api.permissions``."""
ModelKind = Literal["reader", "embedding", "language"]
"""What a model of the registry is for: reading, embedding, or writing answers from a prompt."""
PersonalDataKind = Literal["email", "phone", "card", "iban", "ip"]
"""Personal data that has a form by which it is found."""
RetentionMode = Literal["delete", "anonymise"]
"""What becomes of logged answers: nothing is left, or scores and timings without words and without a person."""
ConfidenceKind = Literal["probability", "support"]
"""probability: calibrated, that the answer is right. support: the share of the answer that its citations support."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. Every search, list, count and look at the log is made for a caller.

    access_labels: they see documents without labels, and those with one of theirs; None: all documents.
    collections: the names of those that they know of; None: all.
    role: readers and contributors see their own answers in the log, the others everybody's, as far as labels allow.
    user_id: who they are; None: whoever reaches the server or holds the database.
    api_key_id, request_id, os_user: for the audit; the last is the operating system's user, at the command line.
    """

    access_labels: frozenset[str] | None = None
    collections: frozenset[str] | None = None
    role: Role = "administrator"
    user_id: str | None = None
    api_key_id: int | None = None
    request_id: str | None = None
    os_user: str | None = None


OWNER = Caller()
"""Who holds the database itself, and so sees everything in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A stretch of a document that no passage crosses: what stands under one heading, on one page or in one row.

    ``page`` and ``row`` count from 1. ``headings`` runs from the outermost heading to the innermost.
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document as read, before it is stored.

    ``source`` is its URI, unique within a collection; ``file`` is the URI of the file that it was read from, which
    several documents share when the file holds many (JSONL). ``text`` is the document: every offset refers to it.
    ``losses`` says what of the file could not be read, one sentence each.
    """

    source: str
    file: str
    title: str
    media_type: str
    text: str
    sections: tuple[Section, ...]
    metadata: Metadata = field(default_factory=dict)
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document that fits the embedding model's window: ``document.text[start:end]``."""

    ordinal: int
    start: int
    end: int
    text: str
    num_tokens: int
    headings: tuple[str, ...] = ()
    page: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HitScores:
    """Why a passage was found. ``None`` means that leg did not find it (or, for ``relevance``, that no reader saw it).

    keyword: BM25. vector: cosine, -1 to 1. keyword_rank, vector_rank: its place in what that leg found, from 1; a
    passage may have a cosine without a place. fused: what both legs together rank by, 0 to 1. relevance: the reader's
    judgement, 0 to 1.
    """

    keyword: float | None = None
    vector: float | None = None
    fused: float | None = None
    relevance: float | None = None
    keyword_rank: int | None = None
    vector_rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How to search; what is None is as the settings have it.

    mode: both legs, or one. fusion: how the legs are brought together, see ``rag.index.fusion``. keyword_weight: the
    keyword leg's share of that, 0 to 1. candidates: passages that each leg proposes. rerank: whether the reader orders
    the first of them anew.
    """

    mode: SearchMode = "hybrid"
    fusion: Fusion | None = None
    keyword_weight: float | None = None
    candidates: int | None = None
    rerank: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReference:
    """Where the same words stand as well. ``origin`` is None in answers that were logged before it was."""

    document_id: int
    title: str
    source: str
    origin: Origin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A stored passage that a search found, with its document and scores.

    ``near_duplicate_of`` is the id of the document that this one nearly repeats; ``also_in`` lists the documents of
    the same group whose passage has the same words and was folded into this hit.
    """

    passage_id: int
    document_id: int
    document_version: int
    title: str
    source: str
    origin: Origin
    headings: tuple[str, ...]
    page: int | None
    row: int | None
    start: int
    end: int
    text: str
    scores: HitScores
    near_duplicate_of: int | None = None
    also_in: tuple[DocumentReference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """The exact characters that an answer rests on: ``quote == version.text[start:end]``.

    ``passage_id`` names the passage it was read from; that passage may be gone later, the document version stays.
    """

    passage_id: int
    document_id: int
    document_version: int
    title: str
    source: str
    origin: Origin
    page: int | None
    row: int | None
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSpan:
    """Where the characters ``answer[answer_start:answer_end]`` come from.

    ``citation`` is the index of the citation that they were copied from: they equal ``version.text[start:end]`` of its
    document version, and that range lies within the citation's. ``None``: the model wrote them itself.
    """

    answer_start: int
    answer_end: int
    citation: int | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answered question, as logged. ``answer`` is empty when ``abstained``; ``passages`` are what was read.

    ``spans`` trace every character of ``answer``, in order; empty where that was not traced. ``unsupported`` are the
    ranges of ``answer`` that no citation was found to support. ``notes`` say what the reader of it should know, a
    sentence each. ``standalone_question`` is the form of the question that was searched and read; None where that is
    the question itself. ``previous_answer_id`` is the answer before it in its conversation, ``based_on_answer_id`` the
    one that it builds on. ``masked`` are the fields of the log in which personal data was masked.
    """

    id: int
    question: str
    collection: str
    answer: str
    abstained: bool
    confidence: float
    citations: tuple[Citation, ...]
    passages: tuple[Hit, ...]
    scores: Mapping[str, float]
    timings_ms: Mapping[str, float]
    model: str
    created_at: datetime
    confidence_kind: ConfidenceKind = "probability"
    spans: tuple[AnswerSpan, ...] = ()
    unsupported: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    standalone_question: str | None = None
    conversation_id: int | None = None
    previous_answer_id: int | None = None
    based_on_answer_id: int | None = None
    masked: tuple[str, ...] = ()

    @property
    def searched_question(self) -> str:
        """The form of the question that was searched and read."""
        return self.standalone_question or self.question


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that was asked before, in a form that stands by itself, and its answer; "" where there was none."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedToken:
    """One token of an answer, and where the decoder would take it from, given the answer before it.

    passage_id, start, end: the passage, and the characters of its document, that it was copied from; None: written.
    probability: of this token here, from any place. copied: the part that is copying it from just that place.
    written: of writing anything here rather than copying.
    passage_weights: of copying anything from each of ``Explanation.passage_ids``; with ``written`` they add up to 1.
    """

    text: str
    passage_id: int | None
    start: int | None
    end: int | None
    probability: float
    copied: float
    written: float
    passage_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWeight:
    """How often the decoder would copy the characters ``start:end`` of a passage's document, over the whole answer."""

    passage_id: int
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an answer says what it says, token by token; also of an answer that was withheld.

    ``passage_weights`` is the mean of the tokens' own, by place in ``passage_ids``.
    """

    answer: str
    passage_ids: tuple[int, ...]
    passage_weights: tuple[float, ...]
    tokens: tuple[ExplainedToken, ...]
    sources: tuple[SourceWeight, ...]
