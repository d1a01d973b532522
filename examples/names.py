"""Learns to spell names, one character at a time, and invents some: python examples/names.py

A decoder-only transformer against a bigram model (the next character depends on the last one alone). Both are measured
on the tenth of the names that neither has seen, in nats per character, the end of a name counted as one.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from small_training import identity_of, read_lines, read_options, trained

from rag.errors import RagError
from rag.training.schedule import Schedule
from rag.training.text_batches import LENGTH_STEP, TextBatches, text_batches
from rag.training.text_objectives import causal_language_modelling
from rag.training.trainer import Trainer
from rag.training.trainer_config import TrainerConfig
from rag.training.training_objective import evaluate
from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.tokenization import TextTokenizer

DATA = Path(__file__).parent / "data/names.txt"
NUM_SAMPLES = 20


def bigram_loss(train: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], vocabulary: int) -> float:
    """Nats per character of a bigram model whose counts all begin at one."""
    counts_VV = torch.ones(vocabulary, vocabulary)
    for ids in train:
        for first, second in zip(ids, ids[1:], strict=False):
            counts_VV[first, second] += 1
    loss_VV = -(counts_VV / counts_VV.sum(dim=1, keepdim=True)).log()
    losses = [float(loss_VV[first, second]) for ids in held_out for first, second in zip(ids, ids[1:], strict=False)]
    return sum(losses) / len(losses)


def main() -> None:
    """Train, compare, invent."""
    options = read_options(__doc__ or "", data=DATA, num_steps=3_000)
    names = read_lines(options.data)
    random.Random(options.seed).shuffle(names)
    tokenizer = TextTokenizer.train_characters(names)
    (end_id,) = tokenizer.end_ids
    assert tokenizer.start_id is not None
    texts = [[tokenizer.start_id, *tokenizer.encode(name), end_id] for name in names]
    num_held = len(texts) // 10
    test, validation, train = texts[:num_held], texts[num_held : 2 * num_held], texts[2 * num_held :]

    torch.manual_seed(options.seed)
    longest = max(map(len, texts))
    model = LanguageModel(
        LanguageModelConfig(
            vocabulary=tokenizer.vocabulary_size,
            width=64,
            num_layers=4,
            num_heads=4,
            hidden=176,
            max_positions=-(-longest // LENGTH_STEP) * LENGTH_STEP,
            dropout=0.1,
        )
    )
    config = TrainerConfig(
        num_steps=options.steps,
        seed=options.seed,
        peak_rate=3e-3,
        schedule=Schedule(num_warmup=min(100, options.steps // 10)),
        report_every=100,
    )
    trainer = Trainer(
        model,
        causal_language_modelling,
        TextBatches(train, batch_size=128, seed=options.seed, pad_id=tokenizer.pad_id),
        config=config,
        folder=options.folder,
        validation=text_batches(validation, batch_size=512, pad_id=tokenizer.pad_id),
        identity=identity_of(options),
    )
    with trained(trainer, options, kind="names", settings={**asdict(config), "model": asdict(model.config)}) as run:
        trainer.load_best()
        held = evaluate(model, causal_language_modelling, text_batches(test, batch_size=512, pad_id=tokenizer.pad_id))
        bigram = bigram_loss(train, test, tokenizer.vocabulary_size)
        run.finish(scores={"test_loss": held["loss"], "bigram_loss": bigram})

    print(f"{len(train)} names learnt, {len(test)} held out")
    print(f"bigram       {bigram:.3f} nats per character")
    print(f"transformer  {held['loss']:.3f} nats per character")
    drawn = generate(
        model.eval(),
        tokenizer,
        [[tokenizer.start_id]] * NUM_SAMPLES,
        GenerationOptions(strategy="sample", max_new_tokens=longest - 1),
        seeds=range(NUM_SAMPLES),
    )
    known = set(names)
    print("invented:", ", ".join(name.text + ("*" if name.text in known else "") for name in drawn))
    print("(* is a name of the file)")


if __name__ == "__main__":
    try:
        main()
    except RagError as error:
        sys.exit(f"error: {error}")
