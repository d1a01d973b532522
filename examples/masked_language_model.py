"""Learns to fill in blanks in sentences: python examples/masked_language_model.py

An encoder that sees both sides of a blank, against the unigram model (every word as likely as it is frequent). Both
are measured on the same blanks in the tenth of the lines that neither has seen, in nats per blank.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from small_training import identity_of, read_lines, read_options, trained
from torch import Tensor

from rag.errors import RagError
from rag.training.masking import MaskedBatches, Masking
from rag.training.schedule import Schedule
from rag.training.text_batches import LENGTH_STEP, MaskedBatch, TextBatches, text_batches
from rag.training.text_objectives import masked_language_modelling
from rag.training.trainer import Trainer
from rag.training.trainer_config import TrainerConfig
from rag.training.training_objective import evaluate
from rag.transformer.initial_weights import start_weights
from rag.transformer.layer_shape import LayerShape
from rag.transformer.masked_language_model import MaskedLanguageModel
from rag.transformer.models import Encoder
from rag.transformer.tokenization import TextTokenizer

DATA = Path(__file__).parent / "data/sentences.txt"
VOCABULARY = 2_000
MAX_TOKENS = 62  # of a line; longer ones are cut into several
NUM_LAYERS = 3
NUM_SHOWN = 8


def unigram_loss(train: Sequence[Sequence[int]], blanks: Sequence[MaskedBatch], vocabulary: int) -> float:
    """Nats per blank of a model that knows only how frequent each token is; all counts begin at one."""
    ids = torch.tensor([token for text in train for token in text[1:-1]])
    counts_V = torch.bincount(ids, minlength=vocabulary) + 1.0
    loss_V = -(counts_V / counts_V.sum()).log()
    return float(loss_V[torch.cat([batch.targets_BT[batch.chosen_BT] for batch in blanks])].mean())


def split_lines(lines: Sequence[str], tokenizer: TextTokenizer) -> list[list[int]]:
    """Lines as token ids with BERT's two special tokens around them."""
    start_id, end_id = (tokenizer.special_id(token) for token in ("[CLS]", "[SEP]"))
    encoded = [tokenizer.encode(line) for line in lines]
    pieces = [ids[i : i + MAX_TOKENS] for ids in encoded for i in range(0, len(ids), MAX_TOKENS)]
    return [[start_id, *piece, end_id] for piece in pieces]


@torch.no_grad()
def show_blanks(
    model: MaskedLanguageModel, tokenizer: TextTokenizer, texts: Sequence[Sequence[int]], seed: int
) -> None:
    """Blank one token of each text and print what the model would put there."""
    rng, mask_id = random.Random(seed), tokenizer.special_id("[MASK]")
    model.eval()
    for text in texts:
        place = rng.randrange(1, len(text) - 1)
        ids_BT = torch.tensor([[*text[:place], mask_id, *text[place + 1 :]]])
        logits_V: Tensor = model(ids_BT, torch.ones_like(ids_BT, dtype=torch.bool))[0, place]
        probability, guess = logits_V.softmax(dim=-1).max(dim=-1)
        before, after = tokenizer.decode(text[1:place]), tokenizer.decode(text[place + 1 : -1])
        word, truth = tokenizer.token(int(guess)), tokenizer.token(text[place])
        verdict = "right" if word == truth else f"it was {truth}"
        print(f"  {before} [{word}] {after}  ({float(probability):.0%}, {verdict})")


def main() -> None:
    """Train, compare, fill in some blanks."""
    options = read_options(__doc__ or "", data=DATA, num_steps=1_000)
    lines = read_lines(options.data)
    random.Random(options.seed).shuffle(lines)
    num_held = max(1, len(lines) // 10)
    tokenizer = TextTokenizer.train_wordpiece(lines[2 * num_held :], VOCABULARY)
    test, validation, train = (
        split_lines(part, tokenizer)
        for part in (lines[:num_held], lines[num_held : 2 * num_held], lines[2 * num_held :])
    )
    masking = Masking(
        mask_id=tokenizer.special_id("[MASK]"),
        vocabulary=tokenizer.vocabulary_size,
        special_ids={tokenizer.special_id(token) for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")},
    )

    def blanks(texts: Sequence[Sequence[int]]) -> list[MaskedBatch]:
        batches = text_batches(texts, batch_size=128, pad_id=tokenizer.pad_id)
        return [masking.apply(batch, seed=number) for number, batch in enumerate(batches)]

    torch.manual_seed(options.seed)
    shape = LayerShape(width=128, num_heads=4, hidden=384, dropout=0.1)
    max_positions = -(-(MAX_TOKENS + 2) // LENGTH_STEP) * LENGTH_STEP
    encoder = Encoder(
        shape,
        num_layers=NUM_LAYERS,
        vocabulary=tokenizer.vocabulary_size,
        max_positions=max_positions,
        num_segments=0,
    )
    model = MaskedLanguageModel(encoder)
    start_weights(model, num_layers=NUM_LAYERS)
    config = TrainerConfig(
        num_steps=options.steps,
        seed=options.seed,
        peak_rate=1e-3,
        schedule=Schedule(num_warmup=min(100, options.steps // 10)),
        report_every=100,
    )
    source = TextBatches(train, batch_size=64, seed=options.seed, pad_id=tokenizer.pad_id)
    trainer = Trainer(
        model,
        masked_language_modelling,
        MaskedBatches(source, masking, seed=options.seed),
        config=config,
        folder=options.folder,
        validation=blanks(validation),
        identity=identity_of(options),
    )
    settings = {**asdict(config), "shape": asdict(shape), "num_layers": NUM_LAYERS, "vocabulary": VOCABULARY}
    with trained(trainer, options, kind="masked language model", settings=settings) as run:
        trainer.load_best()
        held = evaluate(model, masked_language_modelling, blanks(test))
        unigram = unigram_loss(train, blanks(test), tokenizer.vocabulary_size)
        run.finish(scores={"test_loss": held["loss"], "test_accuracy": held["accuracy"], "unigram_loss": unigram})

    print(f"{len(train)} texts learnt, {len(test)} held out; {tokenizer.vocabulary_size} tokens in the vocabulary")
    print(f"unigram      {unigram:.3f} nats per blank")
    print(f"transformer  {held['loss']:.3f} nats per blank, {held['accuracy']:.1%} of the blanks right")
    print("blanks in held-out texts:")
    show_blanks(model, tokenizer, test[:NUM_SHOWN], options.seed)


if __name__ == "__main__":
    try:
        main()
    except RagError as error:
        sys.exit(f"error: {error}")
