"""``rag evaluate``: questions with known answers, asked through the main path."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli import comparing
from rag.cli.output import Counter, note, print_json, print_table, require_folder_of, write_file
from rag.cli.state import settings_of

if TYPE_CHECKING:
    from rag.assemble import Rag
    from rag.evaluate.corpus import Corpus, JudgedQuery
    from rag.evaluate.qa import QaEvaluation

app = typer.Typer(help="Measure answers and retrieval on files in SQuAD 1.1 or 2.0 format.", no_args_is_help=True)
app.command("list")(comparing.list_runs)
app.command("compare")(comparing.compare)
app.command("gate")(comparing.gate)

FileArgument = Annotated[Path, typer.Argument(help="A file in SQuAD 1.1 or 2.0 format.")]
RunArgument = Annotated[
    int | None, typer.Argument(metavar="RUN_ID", help="With --resume: the evaluation to go on with.", min=1)
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the newest evaluation that was interrupted, or with RUN_ID.")
]
PlotOption = Annotated[
    Path | None, typer.Option(help="Write an SVG of how often answers of each confidence are right.")
]
ShareOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Of all questions, those that have no answer; if not given, what calibration assumes.",
    ),
]
LimitOption = Annotated[int | None, typer.Option(help="Ask only a sample of so many questions.", min=1)]
SeedOption = Annotated[int, typer.Option(help="Seed of the sample.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def qa(
    context: typer.Context,
    file: FileArgument,
    run_id: RunArgument = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    top_k: Annotated[int | None, typer.Option(help="Passages that the reader reads.", min=1)] = None,
    gold_passage: Annotated[
        bool, typer.Option("--gold-passage", help="Read each question's own paragraph instead of retrieving.")
    ] = False,
    no_abstain: Annotated[bool, typer.Option("--no-abstain", help="Always answer.")] = False,
    reader_mode: Annotated[
        str, typer.Option(help="combined, or span or decoder to measure one of the two alone.")
    ] = "combined",
    plot: PlotOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the file's questions and compare the answers.

    The paragraphs go into a collection of their own; the answers are logged apart from those of people. Figures are
    shares between 0 and 1, latencies milliseconds. An abstention counts as an empty answer. Each question is logged
    once it is answered: a run that was interrupted goes on with --resume, under the same options.
    """
    from rag.assemble import Rag
    from rag.errors import InvalidInput
    from rag.evaluate.qa import QaEvaluation, QaOptions
    from rag.evaluate.reliability_plot import reliability_svg

    require_folder_of(plot)
    if run_id is not None and not resume:
        raise InvalidInput(f"{run_id} stands where the evaluation to go on with is named; add --resume.")
    if reader_mode not in ("combined", "span", "decoder"):
        raise InvalidInput(f"The reader mode {reader_mode!r} is unknown; it is combined, span or decoder.")
    with Rag(settings_of(context), reader_mode=reader_mode) as service:  # type: ignore[arg-type]
        corpus = _corpus(service, file)
        options = QaOptions(
            top_k=top_k or service.settings.top_k,
            limit=limit,
            seed=seed,
            gold_passage=gold_passage,
            abstain=not no_abstain,
        )
        evaluation = QaEvaluation(service.database, service.retriever, service.answerer, corpus, options)
        resume_id = _run_to_resume(evaluation, file, run_id) if resume else None
        if not resume:
            _say_what_was_interrupted(evaluation, file)
        with Counter("questions", total=len(evaluation.questions)) as counter:
            metrics = evaluation.run(file, on_question=counter.show, resume_id=resume_id)
    if plot is not None:
        error = metrics["confidence"]["expected_calibration_error"]
        title = f"{file.stem}: {metrics['num_questions']} answers, calibration error {error:.3f}"
        write_file(plot, reliability_svg(metrics["confidence"]["bins"], title=title), what="reliability plot")
    if as_json:
        print_json(metrics)
    else:
        print_table(["figure", "value"], _rows(metrics))


@app.command()
def retrieval(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file in SQuAD format, or a folder in BEIR's layout.")],
    split: Annotated[str, typer.Option(help="Of a folder: whose judgements, qrels/SPLIT.tsv.")] = "test",
    rerank: Annotated[bool, typer.Option(help="Measure the reader's order, too; it takes most of the time.")] = True,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Search with each leg, with both, and reranked, and see where what was judged relevant stands."""
    from rag.assemble import Rag
    from rag.evaluate.retrieval import ARMS, evaluate_retrieval

    # The limit is there for requests; a collection's queries are what they are.
    settings = settings_of(context).model_copy(update={"max_question_chars": sys.maxsize})
    arms = {name: options for name, options in ARMS.items() if rerank or not options.rerank}
    with Rag(settings) as service:
        collection, queries = _judged(service, file, split=split, limit=limit, seed=seed)
        with Counter("searches", total=len(arms) * len(queries)) as counter:
            metrics = evaluate_retrieval(service.retriever, collection, queries, on_query=counter.show, arms=arms)
    if as_json:
        print_json(metrics)
        return
    names = ["hit_at_1", "hit_at_10", "mrr_at_10", "ndcg_at_10", "recall_at_10"]
    print_table(
        ["mode", *names, "p50 ms"],
        [
            [mode, *(f"{figures[name]:.4f}" for name in names), f"{_p50(figures):.1f}"]
            for mode, figures in metrics.items()
        ],
    )


@app.command()
def abstention(
    context: typer.Context,
    file: FileArgument,
    other: Annotated[Path, typer.Argument(help="A file whose questions the first one's paragraphs do not answer.")],
    limit: LimitOption = None,
    seed: SeedOption = 0,
    share_unanswerable: ShareOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask both files' questions over the first one's paragraphs: are those that nothing there answers withheld?

    The area under the ROC curve is the probability that a question of the first file gets the higher answerability.
    The confidence is judged over both kinds together, weighted as if a share of the questions had no answer.
    """
    from rag.assemble import Rag
    from rag.errors import InvalidInput
    from rag.evaluate.abstention import evaluate_abstention
    from rag.training.calibration import ASSUMED_UNANSWERABLE

    share = ASSUMED_UNANSWERABLE if share_unanswerable is None else share_unanswerable
    if not 0 < share < 1:
        raise InvalidInput(f"--share-unanswerable must be above 0 and below 1, not {share:g}.")
    with Rag(settings_of(context)) as service:
        corpus = _corpus(service, file)
        with Counter("questions") as counter:
            metrics = evaluate_abstention(
                service.retriever,
                service.answerer,
                corpus,
                other,
                top_k=service.settings.top_k,
                limit=limit,
                seed=seed,
                on_question=counter.show,
                share_unanswerable=share,
            )
    if as_json:
        print_json(metrics)
    else:
        print_table(["figure", "value"], _rows(metrics))


@app.command()
def scores(
    context: typer.Context,
    file: FileArgument,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """How well does each quality score tell right answers from wrong ones?

    Each question is asked over what the search finds, and over passages of which the right one was taken out or
    emptied of the answer, so that wrong answers are copied exactly. Nothing is logged.
    """
    metrics = comparing.ask_for_scores(context, lambda service: _corpus(service, file), limit=limit, seed=seed)
    if as_json:
        print_json(metrics)
    else:
        comparing.print_scores(metrics)


def _run_to_resume(evaluation: "QaEvaluation", file: Path, run_id: int | None) -> int:
    found = evaluation.run_to_resume(file, run_id)
    note(f"evaluation {found}: {evaluation.num_done(found)} of {len(evaluation.questions)} questions are answered")
    return found


def _say_what_was_interrupted(evaluation: "QaEvaluation", file: Path) -> None:
    found = evaluation.interrupted_run(file)
    if found is not None:
        done = f"{evaluation.num_done(found)} of {len(evaluation.questions)} questions"
        note(f"evaluation {found} of this file was interrupted after {done}; --resume goes on with it")


def _judged(
    service: "Rag", path: Path, *, split: str, limit: int | None, seed: int
) -> "tuple[str, Sequence[JudgedQuery]]":
    """The collection of a file or folder, and a sample of its queries."""
    from rag.evaluate.corpus import build_judged_corpus, sample

    with Counter("passages") as counter:
        collection, queries = build_judged_corpus(
            path,
            split=split,
            ingester=service.ingester,
            database=service.database,
            on_progress=lambda progress: counter.show(progress.num_passages),
        )
    service.save_index(collection.name)
    return collection.name, sample(queries, limit=limit, seed=seed)


def _corpus(service: "Rag", file: Path) -> "Corpus":
    """The file's collection, made if it is not there, with its index up to date."""
    from rag.evaluate.corpus import build_corpus

    with Counter("passages") as counter:
        corpus = build_corpus(
            file,
            ingester=service.ingester,
            database=service.database,
            on_progress=lambda progress: counter.show(progress.num_passages),
        )
    service.save_index(corpus.collection.name)
    return corpus


def _p50(figures: Mapping[str, Any]) -> float:
    return sum(float(stage["p50"]) for stage in figures["latency_ms"].values())


def _rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Nested figures as dotted names; what does not apply is left out."""
    rows: list[list[str]] = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            rows += [[f"{name}.{inner}", shown] for inner, shown in _rows(value)]
        elif value is not None and not isinstance(value, list):  # what is a list is for --json and --plot
            rows.append([name, f"{value:.4f}" if isinstance(value, float) else str(value)])
    return rows
