"""``rag train``."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli import training_runs
from rag.cli.output import Counter, console, note, print_json
from rag.cli.state import open_database, settings_of
from rag.config import Settings

if TYPE_CHECKING:
    from rag.index.embedder import Embedder
    from rag.reader.checkpoint import ReaderConfig
    from rag.training.trainer import TrainerProgress
    from rag.training.training_objective import Precision

app = typer.Typer(help="Train the models that answer.", no_args_is_help=True)
app.command("runs")(training_runs.runs)


Data = Annotated[Path, typer.Option(help="A training file in SQuAD format.")]
Output = Annotated[Path, typer.Option(help="Folder for the trained weights.")]
Work = Annotated[Path, typer.Option(help="Folder for checkpoints, the log and mined negatives.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
PeakRate = Annotated[float, typer.Option(help="Highest learning rate; the encoder gets a third of it.")]
Dropout = Annotated[float, typer.Option(help="Share of each layer's output dropped in training.", min=0, max=0.9)]
Questions = Annotated[int, typer.Option(help="Questions a step.", min=1)]
Negatives = Annotated[int, typer.Option(help="Misleading passages a step, of other questions.", min=0)]
NearMisses = Annotated[int, typer.Option(help="Questions a step, or passages, changed to have no answer.", min=0)]
Init = Annotated[
    Path | None, typer.Option(help="Folder of reader weights to go on from; without it, from the encoder's.")
]
Teachers = Annotated[
    list[Path] | None, typer.Option("--teacher", help="Folder of a reader to learn from beside the data. Repeatable.")
]
Dtype = Annotated[str, typer.Option(help="Of matrix products: float32, bfloat16, or auto.")]
Device = Annotated[str, typer.Option(help="Where to train: cpu, or cuda.")]
BatchWorkers = Annotated[
    int, typer.Option(help="Processes that make the batches ahead, for a GPU; 0 for none.", min=0, max=64)
]
CheckpointEvery = Annotated[int, typer.Option(help="Steps from one checkpoint to the next.", min=1)]
Calibrate = Annotated[bool, typer.Option(help="Calibrate in the end, on the processor; else `rag train calibrate`.")]
Record = Annotated[bool, typer.Option(help="Record the run in the database.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def reader(
    context: typer.Context,
    data: Data,
    output: Output,
    work: Work = Path("training"),
    steps: Steps = 4_000,
    seed: Seed = 1,
    peak_rate: PeakRate = 3e-4,
    dropout: Dropout = 0.0,
    questions: Questions = 24,
    negatives: Negatives = 10,
    near_misses: NearMisses = 8,
    init: Init = None,
    teacher: Teachers = None,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    batch_workers: BatchWorkers = 0,
    checkpoint_every: CheckpointEvery = 200,
    calibrate: Calibrate = True,
    record: Record = True,
    as_json: AsJson = False,
) -> None:
    """Train the reader. The same command goes on where a killed run stopped; `rag train runs` shows its curves."""
    from rag.index.embedder import CARRIED_MODEL, model_folder
    from rag.training.batches import BatchOptions
    from rag.training.experiment_tracking import SqlTracker
    from rag.training.reader import ReaderRun, reader_trainer_config, train_reader

    settings, precision = settings_of(context), _precision(dtype, device)
    run = ReaderRun(
        data=data,
        folder=work,
        output=output,
        encoder_folder=model_folder(CARRIED_MODEL),
        encoder_name=CARRIED_MODEL,
        embed=_embedder(settings).embed,
        start_from=init,
        batches=BatchOptions(num_questions=questions, num_negatives=negatives, num_near_misses=near_misses),
        passage_tokens=settings.passage_tokens,
        teachers=teacher or (),
        dropout=dropout,
        device=device,
        batch_workers=batch_workers,
        calibrate=calibrate,
    )
    with open_database(context) if record else nullcontext() as database, Counter("steps", total=steps) as counter:
        saved = train_reader(
            run,
            reader_trainer_config(
                steps, seed=seed, peak_rate=peak_rate, dtype=precision, checkpoint_every=checkpoint_every
            ),
            on_progress=lambda progress: counter.show(progress.point.step, current=_shown(progress)),
            on_stage=note,
            on_question=lambda done, total: counter.show(done, total=total, current="questions asked"),
            trackers=[] if database is None else [SqlTracker(database)],
        )
    _show_saved(output, saved, as_json=as_json)


@app.command()
def average(
    readers: Annotated[list[Path], typer.Argument(help="Folders of readers trained from the same start.")],
    output: Output,
    as_json: AsJson = False,
) -> None:
    """Make one reader of several, by the mean of their weights; then calibrate it. Better than each, and as fast."""
    from rag.index.embedder import CARRIED_MODEL, model_folder
    from rag.training.averaging import average_readers

    saved = average_readers(readers, output, encoder_folder=model_folder(CARRIED_MODEL))
    _show_saved(output, saved, as_json=as_json)


@app.command()
def calibrate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="A file in SQuAD format: the one trained on, or one of your own.")],
    weights: Annotated[Path, typer.Option(help="Folder of the reader; its config.json is rewritten.")],
    share: Annotated[
        float,
        typer.Option(help="Share of the articles to ask about: 0.05 are those left out of training, 1 is all.", min=0),
    ] = 0.05,
    questions: Annotated[int, typer.Option(help="Ask at most so many questions.", min=1)] = 1_500,
    faithfulness_only: Annotated[
        bool, typer.Option("--faithfulness-only", help="Fit only the faithfulness of answers; the rest stays.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a reader's confidence and threshold anew, to questions like those it will be asked. Its weights stay."""
    from rag.errors import InvalidInput
    from rag.index.embedder import CARRIED_MODEL, model_folder
    from rag.training.reader_calibration import recalibrate_reader, refit_faithfulness

    if not 0 < share <= 1:
        raise InvalidInput(f"--share must be above 0 and at most 1, not {share}.")
    found = ""
    with Counter("questions") as counter:
        asking: dict[str, Any] = {
            "encoder_folder": model_folder(CARRIED_MODEL),
            "embed": _embedder(settings_of(context)).embed,
            "share": share,
            "num_questions": questions,
            "on_question": lambda done, total: counter.show(done, total=total),
        }
        if faithfulness_only:
            config = refit_faithfulness(weights, data, **asking)
        else:
            config, fitted = recalibrate_reader(weights, data, **asking)
            found = f"; on these questions exact match {fitted.mean_exact_match:.3f}, F1 {fitted.mean_f1:.3f}"
    if as_json:
        print_json(asdict(config))
    else:
        console().print(f"{weights / 'config.json'} rewritten: threshold {config.abstain_below}{found}")


def _show_saved(output: Path, saved: "ReaderConfig", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(saved))
    else:
        console().print(
            f"reader saved in {output}: weights {saved.weights_sha256[:12]}, threshold {saved.abstain_below}"
        )


def _shown(progress: "TrainerProgress") -> str:
    minutes = progress.seconds_left / 60
    return f"loss {progress.point.loss:.2f}, {progress.examples_per_second:.1f} questions/s, {minutes:.0f} min left"


def _embedder(settings: Settings) -> "Embedder":
    from rag.index.embedder import CARRIED_MODEL
    from rag.index.embedders import Embedders
    from rag.transformer.processor import choose_dtype

    embedders = Embedders(
        CARRIED_MODEL,
        dtype=choose_dtype(settings.embedding_dtype),
        batch_size=settings.embedding_batch_size,
        half_queries=settings.embedding_dtype != "float32",
    )
    return embedders.get(CARRIED_MODEL)


def _precision(dtype: str, device: str) -> "Precision":
    """The number type asked for; ``auto`` is bfloat16 where the processor, or a GPU, multiplies it."""
    import torch

    from rag.errors import InvalidInput
    from rag.transformer.processor import choose_dtype

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidInput("There is no CUDA device here; leave --device out.")
    if dtype not in ("auto", "float32", "bfloat16"):
        raise InvalidInput(f"--dtype must be auto, float32 or bfloat16, not {dtype!r}.")
    on_gpu = device.startswith("cuda") and dtype == "auto"
    return "bfloat16" if on_gpu or choose_dtype(dtype) is torch.bfloat16 else "float32"
