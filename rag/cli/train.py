"""``rag train``."""

from pathlib import Path
from typing import Annotated

import typer

from rag.cli import training_runs
from rag.cli.output import Counter, console, note, print_json
from rag.cli.state import settings_of

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
    init: Annotated[
        Path | None, typer.Option(help="Folder of reader weights to go on from; without it, from the encoder's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train the reader. The same command goes on where a killed run stopped."""
    from dataclasses import asdict

    from rag.index.embedder import CARRIED_MODEL, Embedder, model_folder
    from rag.training.loop import TrainingConfig, TrainingProgress
    from rag.training.reader import ReaderRun, train_reader
    from rag.transformer.processor import choose_dtype

    settings = settings_of(context)
    embedder = Embedder(
        CARRIED_MODEL, dtype=choose_dtype(settings.embedding_dtype), batch_size=settings.embedding_batch_size
    )
    run = ReaderRun(
        data=data,
        folder=work,
        output=output,
        encoder_folder=model_folder(CARRIED_MODEL),
        encoder_name=CARRIED_MODEL,
        embed=embedder.embed,
        start_from=init,
        passage_tokens=settings.passage_tokens,
    )
    with Counter("steps", total=steps) as counter:

        def show(progress: TrainingProgress) -> None:
            losses = (
                f"span {progress.span:.2f} token {progress.token:.2f} {progress.questions_per_second:.1f} questions/s"
            )
            counter.show(progress.step, current=losses)

        config = train_reader(run, TrainingConfig(num_steps=steps, seed=seed), on_progress=show, on_stage=note)
    if as_json:
        print_json(asdict(config))
    else:
        console().print(
            f"reader saved in {output}: weights {config.weights_sha256[:12]}, threshold {config.abstain_below}"
        )
