"""``rag train reader``: from a SQuAD file to weights that answer, in one resumable run.

Articles kept out of training serve to weigh the span scores, to calibrate the confidence and to set the threshold.
They are the same ones in every run, so that a run that goes on from another's weights has not seen them either.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rag.reader.checkpoint import ReaderConfig, file_sha256, load_reader, new_reader, save_reader
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.training.calibration import calibrate
from rag.training.calibration_cases import read_cases
from rag.training.examples import ReaderExamples, split_by_article
from rag.training.hard_negatives import Embed, mine_hard_negatives
from rag.training.loop import ReaderTrainer, TrainingConfig, TrainingProgress
from rag.training.squad import load_squad

HELD_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRun:
    """What to train from and where to.

    ``folder`` keeps checkpoints, log and hard negatives; ``embed`` is the embedding model that negatives are searched
    with; ``start_from`` a folder of reader weights to go on from, None to start from the encoder's.
    """

    data: Path
    folder: Path
    output: Path
    encoder_folder: Path
    encoder_name: str
    embed: Embed
    start_from: Path | None = None
    passage_tokens: int = 200
    num_decoder_layers: int = 3
    held_share: float = 0.05
    num_calibration: int = 1_500


def train_reader(
    run: ReaderRun,
    config: TrainingConfig,
    *,
    on_progress: Callable[[TrainingProgress], None],
    on_stage: Callable[[str], None],
) -> ReaderConfig:
    """Train, calibrate and save a reader; goes on where an earlier run in the same folder stopped.

    Raises:
        InvalidInput: the data cannot be read or is too small, or the folder holds a run with other settings.
    """
    on_stage(f"reading {run.data.name}")
    tokenizer = ReaderTokenizer.load(run.encoder_folder)
    train, held = split_by_article(load_squad(run.data), share=run.held_share, seed=HELD_SEED)
    examples = ReaderExamples(train, tokenizer, max_tokens=run.passage_tokens)
    run.folder.mkdir(parents=True, exist_ok=True)
    on_stage(f"mining hard negatives for {len(examples.questions)} questions")
    negatives = mine_hard_negatives(examples, run.embed, run.folder)
    model, started_from = _start(run, seed=config.seed)
    trainer = ReaderTrainer(model, tokenizer, examples, negatives, config=config, folder=run.folder)
    step = trainer.resume()
    on_stage(f"training from step {step} of {config.num_steps}")
    trainer.run(on_progress)
    on_stage("calibrating on articles kept out of training")
    model.eval()
    held_examples = ReaderExamples(held, tokenizer, max_tokens=run.passage_tokens)
    cases = read_cases(model, tokenizer, held_examples, run.embed, limit=run.num_calibration, seed=HELD_SEED)
    fitted = calibrate(cases)
    return save_reader(
        run.output,
        model,
        ReaderConfig(
            encoder=run.encoder_name,
            num_decoder_layers=len(model.decoder.layers),
            passage_tokens=run.passage_tokens,
            scoring=fitted.scoring,
            calibration=fitted.calibration,
            abstain_below=fitted.abstain_below,
            training={
                "data": run.data.name,
                "data_sha256": file_sha256(run.data),
                "started_from": started_from,
                **asdict(config),
            },
        ),
    )


def _start(run: ReaderRun, *, seed: int) -> tuple[ReaderModel, str]:
    """The model to train, and what it starts from: a name, or the SHA-256 of reader weights."""
    if run.start_from is None:
        model = new_reader(run.encoder_folder, num_decoder_layers=run.num_decoder_layers, dropout=0.0, seed=seed)
        return model, run.encoder_name
    model, config = load_reader(run.start_from, run.encoder_folder)
    model.requires_grad_(True)
    model.encoder.embedding.token.weight.requires_grad_(False)
    return model, config.weights_sha256
