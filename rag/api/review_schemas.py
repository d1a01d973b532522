"""What goes over the wire about reviewing: the queue, the reviewers' agreement, usage over time."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, Self

from pydantic import Field

from rag.api.paging import NEXT, cut_page
from rag.api.schemas import RecordResponse, Response
from rag.review.drift import Drift, Test
from rag.store.review_queue import QueuedAnswer
from rag.store.usage import DayOfUsage, Period

QUEUE = "review queue"
"""What its cursors are of."""
Reason = Literal["thumbs_down", "asked_often", "low_score", "scorers_disagree"]


class QueuedAnswerResponse(RecordResponse):
    """An answer to be looked at, and why: a row of the SQL view ``review_queue``."""

    answer_id: int
    created_at: datetime
    collection: str
    question: str
    answer: str
    abstained: bool
    confidence: float
    lowest_score: float = Field(description="The lowest of its scores.")
    highest_score: float
    num_asked: int = Field(description="How often the question went without an answer, where that is often; else 0.")
    comment: str | None = Field(description="Of the last feedback.")
    priority: int = Field(description="The highest first.")
    reasons: list[Reason] = Field(description="The weightiest first.")


class ReviewQueueResponse(Response):
    """A page of the queue."""

    answers: list[QueuedAnswerResponse]
    next: str | None = Field(description=NEXT)

    @classmethod
    def from_records(cls, queued: Sequence[QueuedAnswer], *, limit: int) -> Self:
        """A page of ``limit``; one more in ``queued`` tells that there is a next page."""
        shown, following = cut_page(queued, QUEUE, limit=limit, key=lambda answer: str(answer.cursor))
        return cls(answers=[QueuedAnswerResponse.from_record(answer) for answer in shown], next=following)


class AgreementResponse(RecordResponse):
    """How two reviewers judged the answers that both judged, by Cohen's kappa."""

    reviewer: str
    other_reviewer: str
    num_answers: int
    num_both_good: int
    num_both_bad: int
    num_only_reviewer_good: int
    num_only_other_good: int
    observed: float = Field(description="The share that they judged alike.")
    expected: float = Field(description="The share that they would judge alike by chance.")
    kappa: float | None = Field(description="1: full agreement, 0: no more than by chance; null: both said one thing.")


class AgreementListResponse(Response):
    """Each two reviewers who judged an answer in common, by name."""

    agreements: list[AgreementResponse]


class DayOfUsageResponse(RecordResponse):
    """A row of the SQL view ``quality_by_day``."""

    day: date
    collection: str
    model: str
    num_questions: int
    num_answered: int
    answer_rate: float
    mean_confidence: float
    mean_answerability: float | None
    mean_answer_relevancy: float | None
    mean_context_precision: float | None
    mean_faithfulness: float | None
    p50_ms: float | None
    p95_ms: float | None
    num_thumbs_up: int
    num_thumbs_down: int
    num_reviewed: int


class DriftResponse(RecordResponse):
    """One measure in the period and in the one before it."""

    measure: str
    test: Test
    num_before: int
    num_after: int
    before: float | None = Field(description="The share, or the median.")
    after: float | None
    statistic: float | None = Field(description="z or U; null with fewer than 20 values in a period.")
    effect: float | None = Field(
        description="The difference of the shares, or the probability that a later value is above an earlier one."
    )
    p_value: float | None
    adjusted_p_value: float | None = Field(description="With all measures taken together, by Holm's method.")
    drifted: bool = Field(description="Significant, and not small.")


class UsageResponse(Response):
    """A period, day by day, and what has changed since as many days before it."""

    first: date
    last: date
    first_before: date
    last_before: date
    days: list[DayOfUsageResponse]
    drift: list[DriftResponse]

    @classmethod
    def from_records(cls, period: Period, days: Sequence[DayOfUsage], found: Sequence[Drift]) -> Self:
        """Usage as it goes over the wire."""
        return cls(
            first=period.first,
            last=period.last,
            first_before=period.before.first,
            last_before=period.before.last,
            days=[DayOfUsageResponse.from_record(day) for day in days],
            drift=[DriftResponse.from_record(drift) for drift in found],
        )
