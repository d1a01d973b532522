"""``rag train reader``: from a SQuAD file to weights that answer, in one resumable run.

Articles kept out of training serve to weigh the span scores, to calibrate the confidence and to set the threshold.
They are the same ones in every run, so that a run that goes on from another's weights has not seen them either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from rag.reader.checkpoint import WEIGHTS, ReaderConfig, load_reader, new_reader, save_reader
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.store.training_runs import TrainingRunStart
from rag.training.batches import BatchOptions, ReaderBatches
from rag.training.calibration import Calibration
from rag.training.calibration_cases import OnQuestion
from rag.training.examples import ReaderExamples, split_by_article
from rag.training.experiment_tracking import ExperimentTracker
from rag.training.hard_negatives import mine_hard_negatives
from rag.training.objective import reader_objective
from rag.training.passage_search import Embed
from rag.training.reader_calibration import HELD_SEED, HELD_SHARE, NUM_QUESTIONS, fit_reader, with_calibration
from rag.training.run_description import describe_file, describe_run
from rag.training.schedule import Schedule
from rag.training.squad import SquadFile, load_squad
from rag.training.tracked_training import tracked_training
from rag.training.trainer import Trainer, TrainerProgress
from rag.training.trainer_config import TrainerConfig
from rag.training.training_objective import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRun:
    """What to train from and where to.

    ``folder`` keeps checkpoints, log and hard negatives; ``embed`` is the embedding model that negatives are searched
    with; ``start_from`` a folder of reader weights to go on from, None to start from the encoder's; ``device`` where
    to train, as torch names it.
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
    device: str = "cpu"


def reader_trainer_config(
    num_steps: int, *, seed: int = 1, peak_rate: float = 3e-4, dtype: Precision = "float32"
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
        checkpoint_every=200,
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
    settings = {"started_from": started_from, **asdict(config), **asdict(run.batches)}
    trainer = Trainer(
        model,
        reader_objective,
        ReaderBatches(examples, negatives, tokenizer, options=run.batches, seed=config.seed),
        config=config,
        folder=run.folder,
        identity={"data": data_sha256, "started_from": started_from, "batches": str(run.batches)},
    )
    with tracked_training(
        trainer,
        _describe(run, config, settings),
        trackers,
        on_resume=lambda step: on_stage(f"training from step {step} of {config.num_steps}"),
        on_progress=on_progress,
    ) as tracked:
        on_stage("calibrating on articles kept out of training")
        training = {"data": run.data.name, "data_sha256": data_sha256, **settings}
        saved, fitted = _calibrate_and_save(run, model, tokenizer, held, training, on_question)
        tracked.finish(
            scores={"held_exact_match": fitted.mean_exact_match, "held_f1": fitted.mean_f1},
            weights=run.output / WEIGHTS,
        )
    return saved


def _calibrate_and_save(
    run: ReaderRun,
    model: ReaderModel,
    tokenizer: ReaderTokenizer,
    held: SquadFile,
    training: Mapping[str, Any],
    on_question: OnQuestion,
) -> tuple[ReaderConfig, Calibration]:
    fitted = fit_reader(
        model,
        tokenizer,
        held,
        run.embed,
        passage_tokens=run.passage_tokens,
        num_questions=run.num_calibration,
        on_question=on_question,
    )
    config = ReaderConfig(
        encoder=run.encoder_name,
        num_decoder_layers=len(model.decoder.layers),
        passage_tokens=run.passage_tokens,
        training=training,
    )
    return save_reader(run.output, model, with_calibration(config, fitted)), fitted


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
        model = new_reader(run.encoder_folder, num_decoder_layers=run.num_decoder_layers, dropout=0.0, seed=seed)
        return model.to(torch.device(run.device)), run.encoder_name
    model, config = load_reader(run.start_from, run.encoder_folder)
    model.requires_grad_(True)
    model.encoder.embedding.token.weight.requires_grad_(False)
    return model.to(torch.device(run.device)), config.weights_sha256
