"""Learns to rewrite dates as ISO 8601, letter by letter: python examples/text_to_text.py

An encoder-decoder that is shown pairs such as "3rd of March 1987" and "1987-03-03" and is asked about dates that it has
not seen. An answer counts when all of it is right. The baseline copies the first answer that shares the most letters
with the question among those it was shown.
"""

import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from small_training import identity_of, read_lines, read_options, trained

from rag.errors import InvalidInput, RagError
from rag.training.schedule import Schedule
from rag.training.text_batches import LENGTH_STEP, PairBatches, pad, pair_batch
from rag.training.text_objectives import sequence_to_sequence
from rag.training.trainer import Trainer
from rag.training.trainer_config import TrainerConfig
from rag.transformer.conditioned import ConditionedModel
from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.layer_shape import LayerShape
from rag.transformer.sequence_to_sequence import SequenceToSequence, SequenceToSequenceConfig
from rag.transformer.tokenization import TextTokenizer

DATA = Path(__file__).parent / "data/dates.tsv"
NUM_SHOWN = 8


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Lines of a source, a tab and a target.

    Raises:
        InvalidInput: a line has another number of tabs.
    """
    pairs = []
    for line in read_lines(path):
        source, tab, target = line.partition("\t")
        if not tab or "\t" in target:
            raise InvalidInput(f"{path}: a line must be a source, one tab and a target, not {line[:60]!r}.")
        pairs.append((source, target))
    return pairs


def nearest_answer(source: str, pairs: Sequence[tuple[str, str]]) -> str:
    """The target of the pair whose source has the most letters in common."""
    letters = Counter(source)
    return max(pairs, key=lambda pair: (letters & Counter(pair[0])).total() - abs(len(pair[0]) - len(source)))[1]


def rewrite(model: SequenceToSequence, tokenizer: TextTokenizer, sources: Sequence[str], max_tokens: int) -> list[str]:
    """The likeliest target of each source, one letter at a time."""
    source_BS, valid_BS = pad([tokenizer.encode(source) for source in sources], tokenizer.pad_id)
    assert tokenizer.start_id is not None
    written = generate(
        ConditionedModel(model.eval(), source_BS, valid_BS),
        tokenizer,
        [[tokenizer.start_id]] * len(sources),
        GenerationOptions(max_new_tokens=max_tokens),
    )
    return [one.text for one in written]


def main() -> None:
    """Train, then ask about what was held out."""
    options = read_options(__doc__ or "", data=DATA, num_steps=3_000)
    pairs = read_pairs(options.data)
    random.Random(options.seed).shuffle(pairs)
    tokenizer = TextTokenizer.train_characters(text for pair in pairs for text in pair)
    (end_id,) = tokenizer.end_ids
    assert tokenizer.start_id is not None
    encoded = [
        (tokenizer.encode(source), [tokenizer.start_id, *tokenizer.encode(target), end_id]) for source, target in pairs
    ]
    num_held = max(1, len(pairs) // 10)
    longest = max(len(ids) for pair in encoded for ids in pair)
    model_config = SequenceToSequenceConfig(
        vocabulary=tokenizer.vocabulary_size,
        shape=LayerShape(width=64, num_heads=4, hidden=192, norm="rms", activation="swiglu", pre_norm=True),
        num_encoder_layers=2,
        num_decoder_layers=2,
        max_positions=-(-longest // LENGTH_STEP) * LENGTH_STEP,
    )
    torch.manual_seed(options.seed)
    model = SequenceToSequence(model_config)
    config = TrainerConfig(
        num_steps=options.steps,
        seed=options.seed,
        peak_rate=2e-3,
        schedule=Schedule(num_warmup=min(200, options.steps // 10)),
        report_every=100,
    )
    validation = encoded[num_held : 2 * num_held]
    trainer = Trainer(
        model,
        sequence_to_sequence,
        PairBatches(encoded[2 * num_held :], batch_size=64, seed=options.seed, pad_id=tokenizer.pad_id),
        config=config,
        folder=options.folder,
        validation=[pair_batch(validation, tokenizer.pad_id)],
        identity=identity_of(options),
    )
    test, train = pairs[:num_held], pairs[2 * num_held :]
    settings = {**asdict(config), "model": asdict(model_config)}
    with trained(trainer, options, kind="text to text", settings=settings) as run:
        trainer.load_best()
        longest_target = max(len(target) for _, target in encoded)
        answers = rewrite(model, tokenizer, [source for source, _ in test], longest_target - 1)
        right = sum(answer == target for answer, (_, target) in zip(answers, test, strict=True)) / len(test)
        nearest = sum(nearest_answer(source, train) == target for source, target in test) / len(test)
        run.finish(scores={"exact_match": right, "nearest_exact_match": nearest})

    print(f"{len(train)} pairs learnt, {len(test)} held out")
    print(f"nearest pair  {nearest:.1%} of the held-out texts rewritten without a mistake")
    print(f"transformer   {right:.1%}")
    for answer, (source, target) in list(zip(answers, test, strict=True))[:NUM_SHOWN]:
        print(f"  {source} -> {answer}{'' if answer == target else f'  (wrong: {target})'}")


if __name__ == "__main__":
    try:
        main()
    except RagError as error:
        sys.exit(f"error: {error}")
