"""``rag train reader``: from a SQuAD file to weights that answer, in one resumable run.

Articles kept out of training serve to weigh the span scores, to calibrate the confidence and to set the threshold.
They are the same ones in every run, so that a run that goes on from another's weights has not seen them either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rag.reader.checkpoint import WEIGHTS, ReaderConfig, load_reader, new_reader, save_reader
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.store.training_runs import TrainingRunStart
from rag.training.batches import BatchOptions, ReaderBatch, ReaderBatches
from rag.training.batches_ahead import BatchesAhead
from rag.training.calibration import Calibration
from rag.training.calibration_cases import OnQuestion
from rag.training.examples import ReaderExamples, split_by_article
from rag.training.experiment_tracking import ExperimentTracker
from rag.training.hard_negatives import mine_hard_negatives
from rag.training.objective import ReaderObjective
from rag.training.passage_search import Embed
from rag.training.reader_calibration import HELD_SEED, HELD_SHARE, NUM_QUESTIONS, fit_reader, with_calibration
from rag.training.run_description import describe_file, describe_run
from rag.training.schedule import Schedule
from rag.training.squad import SquadFile, load_squad
from rag.training.tracked_training import tracked_training
from rag.training.trainer import Trainer, TrainerProgress
from rag.training.trainer_config import TrainerConfig
from rag.training.training_objective import BatchSource, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRun:
    """What to train from and where to.

    ``folder`` keeps checkpoints, log and hard negatives; ``embed`` is the embedding model that negatives are searched
    with; ``start_from`` a folder of reader weights to go on from, None to start from the encoder's; ``teachers`` are
    folders of readers to learn from beside the data; ``device`` is where to train, as torch names it;
    ``batch_workers`` processes make the batches (0: the one that trains). Without ``calibrate`` the weights are saved
    uncalibrated, for ``rag train calibrate`` to fit.
    """

    data: Path
    folder: Path
    output: Path
    encoder_folder: Path
    encoder_name: str
    embed: Embed
    start_from: Path | None = None
    batches: BatchOptions = field(default_factory=BatchOptions)
    passage_tokens: int = 200
    num_decoder_layers: int = 3
    held_share: float = HELD_SHARE
    num_calibration: int = NUM_QUESTIONS
    teachers: Sequence[Path] = ()
    dropout: float = 0.0
    device: str = "cpu"
    batch_workers: int = 0
    calibrate: bool = True


def reader_trainer_config(
    num_steps: int,
    *,
    seed: int = 1,
    peak_rate: float = 3e-4,
    dtype: Precision = "float32",
    checkpoint_every: int = 200,
) -> TrainerConfig:
    """How the reader is trained. ``peak_rate`` is for its new parts; the encoder, trained before, gets a third of it.

    The rate stays at its peak until the last 40% of the steps, so that a run can be made longer or shorter until then.
    """
    return TrainerConfig(
        num_steps=num_steps,
        seed=seed,
        peak_rate=peak_rate,
        rate_scales={"encoder.": 1 / 3},
        schedule=Schedule(decay="warmup_stable_decay", num_warmup=150, decay_share=0.4),
        weight_decay=0.01,
        betas=(0.9, 0.98),
        dtype=dtype,
        report_every=20,
        checkpoint_every=checkpoint_every,
    )


def train_reader(
    run: ReaderRun,
    config: TrainerConfig,
    *,
    on_progress: Callable[[TrainerProgress], None],
    on_stage: Callable[[str], None],
    on_question: OnQuestion = lambda _done, _total: None,
    trackers: Sequence[ExperimentTracker] = (),
) -> ReaderConfig:
    """Train, calibrate and save a reader; goes on where an earlier run in the same folder stopped.

    Raises:
        InvalidInput: the data cannot be read or is too small, or the folder holds a run with other settings.
        Unavailable: a tracker cannot be reached.
    """
    on_stage(f"reading {run.data.name}")
    data_sha256 = describe_file(run.data).sha256
    tokenizer = ReaderTokenizer.load(run.encoder_folder)
    train, held = split_by_article(load_squad(run.data), share=run.held_share, seed=HELD_SEED)
    examples = ReaderExamples(train, tokenizer, max_tokens=run.passage_tokens)
    on_stage(f"mining hard negatives for {len(examples.questions)} questions")
    negatives = mine_hard_negatives(examples, run.embed, run.folder)
    model, started_from = _start(run, seed=config.seed)
    teachers, taught_by = _load_teachers(run)
    origin = {"started_from": started_from, "taught_by": taught_by, "dropout": run.dropout}
    settings = {**origin, **asdict(config), **asdict(run.batches)}
    trainer = Trainer(
        model,
        ReaderObjective(teachers),
        _batches(run, config, examples, negatives, tokenizer),
        config=config,
        folder=run.folder,
        identity={"data": data_sha256, "batches": str(run.batches), **{k: str(v) for k, v in origin.items()}},
    )
    with tracked_training(
        trainer,
        _describe(run, config, settings),
        trackers,
        on_resume=lambda step: on_stage(f"training from step {step} of {config.num_steps}"),
        on_progress=on_progress,
    ) as tracked:
        saved = ReaderConfig(
            encoder=run.encoder_name,
            num_decoder_layers=len(model.decoder.layers),
            passage_tokens=run.passage_tokens,
            training={"data": run.data.name, "data_sha256": data_sha256, **settings},
        )
        scores = {}
        if run.calibrate:
            on_stage("calibrating on articles kept out of training")
            fitted = _calibrate(run, model, tokenizer, held, on_question)
            saved = with_calibration(saved, fitted)
            scores = {"held_exact_match": fitted.mean_exact_match, "held_f1": fitted.mean_f1}
        saved = save_reader(run.output, model, saved)
        tracked.finish(scores=scores, weights=run.output / WEIGHTS)
    return saved


def _batches(
    run: ReaderRun,
    config: TrainerConfig,
    examples: ReaderExamples,
    negatives: Sequence[Sequence[int]],
    tokenizer: ReaderTokenizer,
) -> BatchSource[ReaderBatch]:
    source = ReaderBatches(examples, negatives, tokenizer, options=run.batches, seed=config.seed)
    if not run.batch_workers:
        return source
    return BatchesAhead(source, num_steps=config.num_steps, num_workers=run.batch_workers)


def _load_teachers(run: ReaderRun) -> tuple[list[ReaderModel], list[str]]:
    """The teachers on the run's device, and their SHA-256s."""
    loaded = [load_reader(folder, run.encoder_folder) for folder in run.teachers]
    return [model.to(torch.device(run.device)) for model, _ in loaded], [config.weights_sha256 for _, config in loaded]


def _calibrate(
    run: ReaderRun, model: ReaderModel, tokenizer: ReaderTokenizer, held: SquadFile, on_question: OnQuestion
) -> Calibration:
    return fit_reader(
        model,
        tokenizer,
        held,
        run.embed,
        passage_tokens=run.passage_tokens,
        num_questions=run.num_calibration,
        on_question=on_question,
    )


def _describe(run: ReaderRun, config: TrainerConfig, settings: Mapping[str, Any]) -> TrainingRunStart:
    return describe_run(
        run.folder,
        kind="reader",
        num_steps=config.num_steps,
        seed=config.seed,
        settings=settings,
        data=[run.data],
        dtype=config.dtype,
        device=run.device,
    )


def _start(run: ReaderRun, *, seed: int) -> tuple[ReaderModel, str]:
    """The model to train, and what it starts from: a name, or the SHA-256 of reader weights."""
    if run.start_from is None:
        model = new_reader(
            run.encoder_folder, num_decoder_layers=run.num_decoder_layers, dropout=run.dropout, seed=seed
        )
        return model.to(torch.device(run.device)), run.encoder_name
    model, config = load_reader(run.start_from, run.encoder_folder)
    model.requires_grad_(True)
    model.encoder.embedding.token.weight.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = run.dropout
    return model.to(torch.device(run.device)), config.weights_sha256
