"""``rag evaluate gate``: did a change make answers worse?"""

from dataclasses import dataclass

from rag.errors import InvalidInput
from rag.evaluate.comparison import Comparison, FigureDifference, compare_evaluations
from rag.store.database import Database
from rag.store.evaluations import get_evaluation, newest_like

GATED = ("exact_match", "f1")
"""The figures that must not fall; an answer that is withheld counts in them as an empty one."""
MAX_DROP = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether an evaluation passes, and why: one sentence for each figure."""

    passed: bool
    reasons: tuple[str, ...]
    comparison: Comparison


def judge(database: Database, *, baseline: int, run: int | None = None, max_drop: float = MAX_DROP) -> Verdict:
    """Compare ``run`` with ``baseline``; None takes the newest finished evaluation of the same file and collection.

    It fails where exact match or F1 fell by more than ``max_drop``, or fell significantly at all.

    Raises:
        NotFound: there is no such evaluation.
        InvalidInput: there is none to judge, or the two do not ask the same questions.
    """
    if not 0 <= max_drop <= 1:
        raise InvalidInput(f"--max-drop must be between 0 and 1, not {max_drop:g}.")
    if run is None:
        with database.read() as session:
            run = newest_like(session, get_evaluation(session, baseline))
    if run is None:
        raise InvalidInput(
            f"No evaluation of the same file has finished since evaluation {baseline}; run rag evaluate qa, or name "
            "one with --run."
        )
    if run == baseline:
        raise InvalidInput(f"Evaluation {run} cannot be judged against itself; name another with --run.")
    comparison = compare_evaluations(database, baseline, run, with_slices=False)
    judged = [_judge(comparison.figure(name), max_drop) for name in GATED]
    return Verdict(
        passed=all(passed for passed, _ in judged), reasons=tuple(reason for _, reason in judged), comparison=comparison
    )


def _judge(figure: FigureDifference, max_drop: float) -> tuple[bool, str]:
    moved = (
        f"{figure.name} went from {figure.a:.4f} to {figure.b:.4f} ({figure.difference:+.4f}, p = {figure.p_value:.4f})"
    )
    if -figure.difference > max_drop + 1e-12:
        return False, f"{moved}: it fell by more than {max_drop:g}."
    if figure.difference < 0 and figure.is_significant:
        return False, f"{moved}: the fall is within {max_drop:g}, but significant."
    if figure.difference < 0:
        return True, f"{moved}: the fall is within {max_drop:g} and may be chance."
    return True, f"{moved}: it did not fall."
