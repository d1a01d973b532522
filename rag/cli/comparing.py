"""``rag evaluate list``, ``compare``, ``gate`` and ``scores``."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.output import Counter, console, plain, print_json, print_table
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database, settings_of

if TYPE_CHECKING:
    from rag.assemble import Rag
    from rag.evaluate.comparison import Comparison, FigureDifference, QuestionDifference
    from rag.evaluate.corpus import Corpus
    from rag.evaluate.slices import Slice

WORSE = 4
"""The exit status of a gate that an evaluation does not pass."""
SHOWN_CHARS = 60
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_runs(
    context: typer.Context,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Evaluations, newest first, with their main figures."""
    from rag.api.evaluation_schemas import EVALUATIONS, EvaluationListResponse
    from rag.api.paging import read_cursor
    from rag.store.evaluations import list_evaluations

    before = read_cursor(cursor, EVALUATIONS, first=0) or None
    with open_database(context) as database, database.read() as session:
        page = EvaluationListResponse.of(list_evaluations(session, before_id=before, limit=limit + 1), limit=limit)
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    print_table(
        ["id", "file", "started at", "questions", "exact match", "f1", "model"],
        [
            [
                run.id,
                run.file,
                f"{run.started_at:%Y-%m-%d %H:%M}",
                "unfinished" if run.metrics is None else run.metrics.get("num_questions"),
                _share(run.metrics, "exact_match"),
                _share(run.metrics, "f1"),
                run.settings.get("model", ""),
            ]
            for run in page.evaluation_runs
        ],
    )
    note_next(page.next)


def compare(
    context: typer.Context,
    a: Annotated[int, typer.Argument(help="The evaluation before.", min=1)],
    b: Annotated[int, typer.Argument(help="The evaluation after.", min=1)],
    limit: Annotated[int, typer.Option(help="Show so many questions that got worse, and better.", min=0)] = 10,
    as_json: JsonOption = False,
) -> None:
    """Two evaluations of the same questions: what got better and worse, and where.

    A p-value below 0.05 says that chance alone would hardly do it; those of groups are corrected for their number.
    """
    from rag.api.evaluation_schemas import ComparisonResponse
    from rag.evaluate.comparison import compare_evaluations

    with open_database(context) as database:
        comparison = compare_evaluations(database, a, b)
    if as_json:
        print_json(ComparisonResponse.of(comparison, limit=limit).model_dump(mode="json"))
    else:
        _print_comparison(comparison, limit=limit)


def gate(
    context: typer.Context,
    baseline: Annotated[int, typer.Option(help="The evaluation to hold against.", min=1)],
    run: Annotated[
        int | None, typer.Option(help="The evaluation to judge; without it the newest of the same file.", min=1)
    ] = None,
    max_drop: Annotated[float | None, typer.Option(help="Exact match and F1 may fall by so much, 0 to 1.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Exit with 4 where a change made answers worse: by more than the margin, or significantly."""
    from rag.evaluate.gate import MAX_DROP, judge

    with open_database(context) as database:
        verdict = judge(database, baseline=baseline, run=run, max_drop=MAX_DROP if max_drop is None else max_drop)
    compared = verdict.comparison
    if as_json:
        figures = [asdict(figure) for figure in compared.figures]
        shown = {"passed": verdict.passed, "reasons": verdict.reasons, "baseline": compared.a.id, "run": compared.b.id}
        print_json({**shown, "num_questions": compared.num_questions, "figures": figures})
    else:
        out = console()
        passed = "passed" if verdict.passed else "failed"
        out.print(f"{passed}: evaluation {compared.b.id} against {compared.a.id}, {compared.num_questions} questions")
        for reason in verdict.reasons:
            out.print(plain(f"  {reason}"))
    if not verdict.passed:
        sys.exit(WORSE)


def print_scores(metrics: Mapping[str, Any]) -> None:
    """The figures of ``rag evaluate scores`` for people."""
    from rag.evaluate.scores import MIN_AUROC

    print_table(
        ["score", "AUROC, own retrieval", "95%", "AUROC, planted passages too", "95%"],
        [
            [metric, *(cell for arm in ("own_retrieval", "planted") for cell in _auroc_cells(figures[arm]))]
            for metric, figures in metrics["scores"].items()
        ],
    )
    out = console()
    own, planted = metrics["right_own_retrieval"], metrics["right_planted"]
    out.print(
        f"{metrics['num_questions']} questions; right: {_number(own)} of what is found, {_number(planted)} planted"
    )
    weak = [
        metric
        for metric, figures in metrics["scores"].items()
        if any((arm["auroc"] or 1.0) < MIN_AUROC for arm in figures.values())
    ]
    if weak:
        out.print(plain(f"under {MIN_AUROC}: {', '.join(weak)}"))


def ask_for_scores(
    context: typer.Context, open_corpus: "Callable[[Rag], Corpus]", *, limit: int | None, seed: int
) -> dict[str, Any]:
    """Ask the questions of a corpus as ``rag evaluate scores`` does."""
    from rag.assemble import Rag
    from rag.evaluate.scores import evaluate_scores

    with Rag(settings_of(context)) as service:
        corpus = open_corpus(service)
        with Counter("questions", total=limit) as counter:
            return evaluate_scores(
                service.retriever,
                service.answerer,
                corpus,
                top_k=service.settings.top_k,
                limit=limit,
                seed=seed,
                on_question=counter.show,
            )


def _print_comparison(comparison: "Comparison", *, limit: int) -> None:
    out = console()
    out.print(f"{comparison.num_questions} questions, {comparison.num_same} with the same F1")
    print_table(
        ["figure", f"run {comparison.a.id}", f"run {comparison.b.id}", "difference", "95%", "p", "test"],
        [_figure_cells(figure) for figure in comparison.figures],
    )
    if comparison.changed:
        changed = [[name, *pair] for name, pair in comparison.changed.items()]
        print_table(["changed", f"run {comparison.a.id}", f"run {comparison.b.id}"], changed)
    for title, questions in (("worse", comparison.worse), ("better", comparison.better)):
        if questions and limit:
            print_table(
                [f"{title}: {len(questions)}", "reference", f"run {comparison.a.id}", f"run {comparison.b.id}", "F1"],
                [_question_cells(question) for question in questions[:limit]],
            )
    print_table(
        ["group", "questions", "F1 before", "F1 after", "difference", "95%", "p", "behind the rest", "p"],
        [_slice_cells(one) for one in comparison.slices],
    )


def _figure_cells(figure: "FigureDifference") -> list[str]:
    return [
        figure.name,
        f"{figure.a:.4f}",
        f"{figure.b:.4f}",
        f"{figure.difference:+.4f}",
        f"{figure.low:+.4f} to {figure.high:+.4f}",
        f"{figure.p_value:.4f}",
        figure.test,
    ]


def _question_cells(question: "QuestionDifference") -> list[str]:
    predictions = [words[:SHOWN_CHARS] or "(withheld)" for words in (question.prediction_a, question.prediction_b)]
    reference = question.reference_answers[0][:SHOWN_CHARS] if question.reference_answers else "(no answer)"
    return [question.question[:SHOWN_CHARS], reference, *predictions, f"{question.f1_a:.2f} to {question.f1_b:.2f}"]


def _slice_cells(one: "Slice") -> list[str]:
    return [
        f"{one.dimension}: {one.value}"[:SHOWN_CHARS],
        str(one.num_questions),
        f"{one.f1_a:.4f}",
        f"{one.f1_b:.4f}",
        f"{one.difference:+.4f}",
        f"{one.difference_low:+.4f} to {one.difference_high:+.4f}",
        _number(one.difference_p),
        "" if one.behind_rest is None else f"{one.behind_rest:+.4f}",
        _number(one.behind_rest_p),
    ]


def _auroc_cells(figures: Mapping[str, Any]) -> list[str]:
    if figures["auroc"] is None:
        return ["", ""]
    return [f"{figures['auroc']:.3f}", f"{_number(figures['low'])} to {_number(figures['high'])}"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(metrics: Mapping[str, Any] | None, name: str) -> str:
    value = (metrics or {}).get(name)
    return f"{value:.4f}" if isinstance(value, float) else ""
