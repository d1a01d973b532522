"""``rag train``."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli import training_runs
from rag.cli.output import Counter, console, note, print_json
from rag.cli.state import open_database, settings_of
from rag.config import Settings

if TYPE_CHECKING:
    from rag.index.embedder import Embedder
    from rag.training.trainer import TrainerProgress
    from rag.training.training_objective import Precision

app = typer.Typer(help="Train the models that answer.", no_args_is_help=True)
app.command("runs")(training_runs.runs)


@app.command()
def reader(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="A training file in SQuAD format.")],
    output: Annotated[Path, typer.Option(help="Folder for the trained weights.")],
    work: Annotated[Path, typer.Option(help="Folder for checkpoints, the log and mined negatives.")] = Path("training"),
    steps: Annotated[int, typer.Option(help="Optimiser steps of 24 questions.", min=1)] = 4_000,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    peak_rate: Annotated[float, typer.Option(help="Highest learning rate; the encoder gets a third of it.")] = 3e-4,
    negatives: Annotated[int, typer.Option(help="Misleading passages a step, of other questions.", min=0, max=24)] = 10,
    near_misses: Annotated[
        int, typer.Option(help="Questions a step, or passages, changed to have no answer.", min=0, max=24)
    ] = 8,
    init: Annotated[
        Path | None, typer.Option(help="Folder of reader weights to go on from; without it, from the encoder's.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of matrix products: float32, bfloat16, or auto.")] = "auto",
    device: Annotated[str, typer.Option(help="Where to train: cpu, or cuda.")] = "cpu",
    record: Annotated[bool, typer.Option(help="Record the run in the database.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train the reader. The same command goes on where a killed run stopped; `rag train runs` shows its curves."""
    from dataclasses import asdict

    from rag.index.embedder import CARRIED_MODEL, model_folder
    from rag.training.batches import BatchOptions
    from rag.training.experiment_tracking import SqlTracker
    from rag.training.reader import ReaderRun, reader_trainer_config, train_reader

    settings = settings_of(context)
    config = reader_trainer_config(steps, seed=seed, peak_rate=peak_rate, dtype=_precision(dtype, device))
    run = ReaderRun(
        data=data,
        folder=work,
        output=output,
        encoder_folder=model_folder(CARRIED_MODEL),
        encoder_name=CARRIED_MODEL,
        embed=_embedder(settings).embed,
        start_from=init,
        batches=BatchOptions(num_negatives=negatives, num_near_misses=near_misses),
        passage_tokens=settings.passage_tokens,
        device=device,
    )
    with open_database(context) if record else nullcontext() as database, Counter("steps", total=steps) as counter:
        trackers = [] if database is None else [SqlTracker(database)]
        saved = train_reader(
            run,
            config,
            on_progress=lambda progress: counter.show(progress.point.step, current=_shown(progress)),
            on_stage=note,
            on_question=lambda done, total: counter.show(done, total=total, current="questions asked"),
            trackers=trackers,
        )
    if as_json:
        print_json(asdict(saved))
    else:
        console().print(
            f"reader saved in {output}: weights {saved.weights_sha256[:12]}, threshold {saved.abstain_below}"
        )


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit a reader's confidence and threshold anew, to questions like those it will be asked. Its weights stay."""
    from dataclasses import asdict

    from rag.errors import InvalidInput
    from rag.index.embedder import CARRIED_MODEL, model_folder
    from rag.training.reader_calibration import recalibrate_reader

    if not 0 < share <= 1:
        raise InvalidInput(f"--share must be above 0 and at most 1, not {share}.")
    with Counter("questions") as counter:
        config, fitted = recalibrate_reader(
            weights,
            data,
            encoder_folder=model_folder(CARRIED_MODEL),
            embed=_embedder(settings_of(context)).embed,
            share=share,
            num_questions=questions,
            on_question=lambda done, total: counter.show(done, total=total),
        )
    if as_json:
        print_json(asdict(config))
    else:
        console().print(
            f"{weights / 'config.json'} rewritten: threshold {config.abstain_below}; on these questions exact match "
            f"{fitted.mean_exact_match:.3f}, F1 {fitted.mean_f1:.3f}"
        )


def _shown(progress: "TrainerProgress") -> str:
    minutes = progress.seconds_left / 60
    return f"loss {progress.point.loss:.2f}, {progress.examples_per_second:.1f} questions/s, {minutes:.0f} min left"


def _embedder(settings: Settings) -> "Embedder":
    from rag.index.embedder import CARRIED_MODEL
    from rag.index.embedders import Embedders
    from rag.transformer.processor import choose_dtype

    dtype, batch_size = choose_dtype(settings.embedding_dtype), settings.embedding_batch_size
    return Embedders(CARRIED_MODEL, dtype=dtype, batch_size=batch_size).get(CARRIED_MODEL)


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
