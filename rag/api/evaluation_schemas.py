"""What evaluations and their comparison look like over the wire."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

from pydantic import Field

from rag.api.paging import NEXT, cut_page
from rag.api.schemas import RecordResponse, Response
from rag.evaluate.comparison import Comparison
from rag.store.evaluations import EvaluationRecord

EVALUATIONS = "evaluations"
"""What the cursors of their list are of."""


class EvaluationResponse(RecordResponse):
    """One evaluation of a file of questions. ``metrics`` and ``finished_at`` are null until it has finished."""

    id: int
    file: str
    file_sha256: str
    collection_id: int
    settings: dict[str, Any] = Field(description="What it asked and how.")
    metrics: dict[str, Any] | None
    started_at: datetime
    finished_at: datetime | None


class EvaluationListResponse(Response):
    """A page of evaluations, newest first."""

    evaluation_runs: list[EvaluationResponse]
    next: str | None = Field(description=NEXT)

    @classmethod
    def of(cls, records: Sequence[EvaluationRecord], *, limit: int) -> Self:
        """A page of ``limit`` evaluations; one more tells whether there is a next page."""
        shown, following = cut_page(records, EVALUATIONS, limit=limit, key=lambda record: record.id)
        return cls(evaluation_runs=[EvaluationResponse.from_record(record) for record in shown], next=following)


class FigureDifferenceResponse(RecordResponse):
    """A figure of both evaluations, 0 to 1, its difference from A to B with a 95% interval, and a p-value."""

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    is_significant: bool


class QuestionDifferenceResponse(RecordResponse):
    """One question that was answered otherwise in B."""

    question_id: str
    question: str
    reference_answers: list[str]
    prediction_a: str
    prediction_b: str
    f1_a: float
    f1_b: float
    answer_id_a: int | None
    answer_id_b: int | None


class SliceResponse(RecordResponse):
    """A group of questions. Both p-values are corrected for the number of groups (Holm); null where not tested."""

    dimension: str = Field(description="kind, collection, source, format or origin.")
    value: str
    num_questions: int
    f1_a: float
    f1_b: float
    difference: float
    difference_low: float
    difference_high: float
    difference_p: float | None
    rest_f1_b: float | None = Field(description="Of all other questions in B; null where there are none.")
    behind_rest: float | None = Field(description="Above 0: B answers this group worse than the rest.")
    behind_rest_p: float | None


class ComparisonResponse(Response):
    """Two evaluations of the same questions. ``better`` and ``worse`` hold the first of so many."""

    a: EvaluationResponse
    b: EvaluationResponse
    num_questions: int
    num_same: int
    num_better: int
    num_worse: int
    changed: dict[str, tuple[Any, Any]] = Field(description="Settings that differ, each as [A, B].")
    figures: list[FigureDifferenceResponse]
    better: list[QuestionDifferenceResponse] = Field(description="Those whose F1 rose, by the most first.")
    worse: list[QuestionDifferenceResponse] = Field(description="Those whose F1 fell, by the most first.")
    slices: list[SliceResponse]

    @classmethod
    def of(cls, comparison: Comparison, *, limit: int) -> Self:
        """The comparison with the first ``limit`` of the questions that got better, and worse."""
        return cls(
            a=EvaluationResponse.from_record(comparison.a),
            b=EvaluationResponse.from_record(comparison.b),
            num_questions=comparison.num_questions,
            num_same=comparison.num_same,
            num_better=len(comparison.better),
            num_worse=len(comparison.worse),
            changed=dict(comparison.changed),
            figures=[FigureDifferenceResponse.from_record(figure) for figure in comparison.figures],
            better=[QuestionDifferenceResponse.from_record(one) for one in comparison.better[:limit]],
            worse=[QuestionDifferenceResponse.from_record(one) for one in comparison.worse[:limit]],
            slices=[SliceResponse(**asdict(one)) for one in comparison.slices],
        )
