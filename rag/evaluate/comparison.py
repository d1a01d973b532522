"""``rag evaluate compare``: two evaluations of the same questions, side by side."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.errors import InvalidInput
from rag.evaluate.significance import LEVEL, mcnemar, mean_interval, paired_randomisation
from rag.evaluate.slices import Slice, slices_of
from rag.store.collections import get_collection_by_id
from rag.store.database import Database
from rag.store.evaluation_sources import question_sources
from rag.store.evaluations import EvaluationRecord, QuestionResult, get_evaluation, list_results
from rag.text.question_kind import kind_of

UNKNOWN = "(unknown)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureDifference:
    """A figure of both evaluations, shares between 0 and 1.

    difference: from A to B, with its 95% interval. p_value: of ``test``, uncorrected.
    """

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    test: str

    @property
    def is_significant(self) -> bool:
        """Whether chance alone would hardly do it."""
        return self.p_value < LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionDifference:
    """One question that was answered otherwise the second time."""

    question_id: str
    question: str
    reference_answers: tuple[str, ...]
    prediction_a: str
    prediction_b: str
    f1_a: float
    f1_b: float
    answer_id_a: int | None
    answer_id_b: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two evaluations of the same questions.

    changed: the settings that differ, each as (A, B). better, worse: the questions whose F1 rose or fell, those by the
    most first. num_same: how many have the same F1.
    """

    a: EvaluationRecord
    b: EvaluationRecord
    num_questions: int
    num_same: int
    changed: Mapping[str, tuple[Any, Any]]
    figures: tuple[FigureDifference, ...]
    better: tuple[QuestionDifference, ...]
    worse: tuple[QuestionDifference, ...]
    slices: tuple[Slice, ...]

    def figure(self, name: str) -> FigureDifference:
        """The figure of that name."""
        return next(one for one in self.figures if one.name == name)


Pair = tuple[QuestionResult, QuestionResult]


def compare_evaluations(database: Database, a: int, b: int, *, with_slices: bool = True) -> Comparison:
    """Compare evaluation ``b`` with ``a``.

    Raises:
        NotFound: there is no such evaluation.
        InvalidInput: one has not finished, or they do not ask the same questions.
    """
    with database.read() as session:
        record_a, record_b = get_evaluation(session, a), get_evaluation(session, b)
        for record in (record_a, record_b):
            if record.finished_at is None:
                resume = f"rag evaluate qa FILE {record.id} --resume"
                raise InvalidInput(f"Evaluation {record.id} has not finished; go on with it by {resume}.")
        results_a, results_b = list_results(session, a), list_results(session, b)
    pairs = _paired(record_a, results_a, record_b, results_b)
    f1_a, f1_b = [one.f1 for one, _ in pairs], [other.f1 for _, other in pairs]
    moved = sorted((_question(*pair) for pair in pairs if pair[0].f1 != pair[1].f1), key=lambda q: q.f1_b - q.f1_a)
    worse = tuple(one for one in moved if one.f1_b < one.f1_a)
    return Comparison(
        a=record_a,
        b=record_b,
        num_questions=len(pairs),
        num_same=len(pairs) - len(moved),
        changed=_changed(record_a, record_b),
        figures=_figures(pairs, both_searched=not any(_is_gold(record) for record in (record_a, record_b))),
        better=tuple(reversed(moved[len(worse) :])),
        worse=worse,
        slices=slices_of(f1_a, f1_b, _dimensions(database, record_a, record_b, pairs)) if with_slices else (),
    )


def _paired(
    a: EvaluationRecord, results_a: Sequence[QuestionResult], b: EvaluationRecord, results_b: Sequence[QuestionResult]
) -> list[Pair]:
    """The results of the same question together, in the order of A."""
    of_a, of_b = _by_question(results_a), _by_question(results_b)
    missing = [key for key in of_a if key not in of_b], [key for key in of_b if key not in of_a]
    for mine, other, keys, num in ((a, b, missing[0], len(of_a)), (b, a, missing[1], len(of_b))):
        if keys:
            raise InvalidInput(
                f"Evaluations {a.id} and {b.id} do not ask the same questions: {len(keys)} of the {num} of evaluation "
                f"{mine.id} are not in evaluation {other.id} ({keys[0][1]!r}, for one); evaluate the same file with "
                "the same --limit and --seed."
            )
    if not of_a:
        raise InvalidInput(f"No question of evaluation {a.id} was logged; there is nothing to compare.")
    return [(result, of_b[key]) for key, result in of_a.items()]


def _by_question(results: Sequence[QuestionResult]) -> dict[tuple[str, str, tuple[str, ...], int], QuestionResult]:
    """By id, words, reference answers and, for files that repeat a question, how often it was asked before."""
    num_before: Counter[tuple[str, str]] = Counter()
    found = {}
    for one in results:
        found[one.question_id, one.question, one.reference_answers, num_before[one.question_id, one.question]] = one
        num_before[one.question_id, one.question] += 1
    return found


def _figures(pairs: Sequence[Pair], *, both_searched: bool) -> tuple[FigureDifference, ...]:
    def share(name: str, is_so: Callable[[QuestionResult], bool]) -> FigureDifference:
        values = [(is_so(a), is_so(b)) for a, b in pairs]
        p_value = mcnemar(sum(a and not b for a, b in values), sum(b and not a for a, b in values))
        return _figure(name, [(float(a), float(b)) for a, b in values], p_value, test="McNemar, exact")

    f1s = [(a.f1, b.f1) for a, b in pairs]
    figures = [
        share("exact_match", lambda one: one.exact_match == 1.0),
        _figure("f1", f1s, paired_randomisation([b - a for a, b in f1s]), test="approximate randomisation"),
        share("abstained", lambda one: one.abstained),
    ]
    if both_searched:
        figures.append(share("hit_at_1", lambda one: one.gold_rank == 1))
    return tuple(figures)


def _figure(name: str, values: Sequence[tuple[float, float]], p_value: float, *, test: str) -> FigureDifference:
    differences = [b - a for a, b in values]
    low, high = mean_interval(differences)
    num = len(values)
    return FigureDifference(
        name=name,
        a=sum(a for a, _ in values) / num,
        b=sum(b for _, b in values) / num,
        difference=sum(differences) / num,
        low=low,
        high=high,
        p_value=p_value,
        test=test,
    )


def _question(a: QuestionResult, b: QuestionResult) -> QuestionDifference:
    return QuestionDifference(
        question_id=a.question_id,
        question=a.question,
        reference_answers=a.reference_answers,
        prediction_a=a.prediction,
        prediction_b=b.prediction,
        f1_a=a.f1,
        f1_b=b.f1,
        answer_id_a=a.answer_id,
        answer_id_b=b.answer_id,
    )


def _changed(a: EvaluationRecord, b: EvaluationRecord) -> dict[str, tuple[Any, Any]]:
    names = sorted({*a.settings, *b.settings})
    pairs = {name: (a.settings.get(name), b.settings.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _dimensions(
    database: Database, a: EvaluationRecord, b: EvaluationRecord, pairs: Sequence[Pair]
) -> dict[str, list[str]]:
    """What each question belongs to: the same whichever evaluation answered it."""
    with database.read() as session:
        sources = question_sources(session, a.id, gold_passage=_is_gold(a))
        others = question_sources(session, b.id, gold_passage=_is_gold(b))
        collection = get_collection_by_id(session, a.collection_id).name
    found = []
    for one, other in pairs:
        by_a = sources.get(one.measures.ordinal) if one.measures else None
        found.append(by_a or (others.get(other.measures.ordinal) if other.measures else None))
    return {
        "kind": [kind_of(one.question) for one, _ in pairs],
        "collection": [collection] * len(pairs),
        "source": [(one.measures.article if one.measures else "") or UNKNOWN for one, _ in pairs],
        "format": [UNKNOWN if source is None else source.media_type for source in found],
        "origin": [UNKNOWN if source is None else source.origin for source in found],
    }


def _is_gold(record: EvaluationRecord) -> bool:
    return bool(record.settings.get("gold_passage"))
