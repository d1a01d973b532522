"""The three objectives of text, on the library's own models."""

import math
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from rag.training.masking import MaskedBatches, Masking
from rag.training.schedule import Schedule
from rag.training.text_batches import MaskedBatch, PairBatch, PairBatches, TextBatches, TokenBatch, pad, pair_batch
from rag.training.text_objectives import causal_language_modelling, masked_language_modelling, sequence_to_sequence
from rag.training.trainer import Trainer
from rag.training.trainer_config import TrainerConfig
from rag.training.training_objective import evaluate
from rag.transformer.initial_weights import start_weights
from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.layer_shape import LayerShape
from rag.transformer.masked_language_model import MaskedLanguageModel
from rag.transformer.models import Encoder
from rag.transformer.sequence_to_sequence import SequenceToSequence, SequenceToSequenceConfig

VOCABULARY, PAD, START, END, MASK = 14, 0, 1, 2, 3
# Counting upwards by one or by two from anywhere: what comes next is certain after two tokens.
COUNTS = [
    [START, *[4 + (first + step * place) % 10 for place in range(length)], END]
    for first in range(10)
    for step in (1, 2)
    for length in (4, 6, 9)
]
SHAPE = LayerShape(width=32, num_heads=2, hidden=64, norm_eps=1e-5)


def _language_model() -> LanguageModel:
    torch.manual_seed(1)
    config = LanguageModelConfig(
        vocabulary=VOCABULARY, width=32, num_layers=2, num_heads=2, hidden=64, max_positions=16
    )
    return LanguageModel(config)


def _masked_model() -> MaskedLanguageModel:
    torch.manual_seed(1)
    model = MaskedLanguageModel(Encoder(SHAPE, num_layers=2, vocabulary=VOCABULARY, max_positions=16, num_segments=0))
    start_weights(model, num_layers=2)
    return model


def _pair_model() -> SequenceToSequence:
    torch.manual_seed(1)
    config = SequenceToSequenceConfig(
        vocabulary=VOCABULARY, shape=SHAPE, num_encoder_layers=1, num_decoder_layers=1, max_positions=16
    )
    return SequenceToSequence(config)


class Even(nn.Module):
    """Knows nothing: every token is as likely as every other."""

    def forward(self, ids_BT: torch.Tensor, *_: torch.Tensor, select: torch.Tensor | None = None) -> torch.Tensor:
        rows = ids_BT.shape if select is None else (int(select.sum()),)
        return torch.zeros(*rows, VOCABULARY)


def test_model_that_knows_nothing_loses_the_logarithm_of_the_vocabulary() -> None:
    texts = TokenBatch(*pad(COUNTS, PAD))
    masked = Masking(mask_id=MASK, vocabulary=VOCABULARY, special_ids=range(4)).apply(texts, seed=1)
    pairs = pair_batch([([4, 5], [START, 6, END]), ([4], [START, 7, 8, 9, END])], PAD)
    nothing = Even()
    for loss, num_targets in (
        (causal_language_modelling(nothing, texts), sum(len(text) - 1 for text in COUNTS)),
        (masked_language_modelling(nothing, masked), int(masked.chosen_BT.sum())),
    ):
        assert loss.num_targets == num_targets
        assert float(loss.total.detach()) / num_targets == pytest.approx(math.log(VOCABULARY))

    class EvenPairs(nn.Module):
        def forward(self, source_BS: torch.Tensor, valid_BS: torch.Tensor, target_BT: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
            return torch.zeros(*target_BT.shape, VOCABULARY)

    loss = sequence_to_sequence(EvenPairs(), pairs)
    assert loss.num_targets == 2 + 4  # the end tokens count, the start tokens do not
    assert float(loss.total.detach()) / 6 == pytest.approx(math.log(VOCABULARY))


def test_padding_changes_no_loss() -> None:
    short, long = COUNTS[0], COUNTS[2]
    model = _language_model().eval()
    alone = [causal_language_modelling(model, TokenBatch(*pad([text], PAD))) for text in (short, long)]
    together = causal_language_modelling(model, TokenBatch(*pad([short, long], PAD)))
    assert float(together.total.detach()) == pytest.approx(sum(float(loss.total.detach()) for loss in alone), rel=1e-5)
    assert together.num_targets == sum(loss.num_targets for loss in alone)

    pairs = [([4, 5, 6], [START, 7, END]), ([4] * 10, [START, *[8] * 9, END])]
    pair_model = _pair_model().eval()
    alone = [sequence_to_sequence(pair_model, pair_batch([pair], PAD)) for pair in pairs]
    together = sequence_to_sequence(pair_model, pair_batch(pairs, PAD))
    assert float(together.total.detach()) == pytest.approx(sum(float(loss.total.detach()) for loss in alone), rel=1e-5)


def test_future_of_a_text_is_not_seen() -> None:
    # Were the model shown the token that it is to predict, it would learn to copy it even from random texts.
    torch.manual_seed(2)
    texts = torch.randint(4, VOCABULARY, (200, 8)).tolist()
    source = TextBatches(texts, batch_size=32, seed=1, pad_id=PAD)
    model = _language_model()
    config = TrainerConfig(num_steps=60, peak_rate=5e-3, schedule=Schedule(num_warmup=5))
    _train(model, causal_language_modelling, source, config)
    fresh = TokenBatch(*pad(torch.randint(4, VOCABULARY, (64, 8)).tolist(), PAD))
    assert evaluate(model, causal_language_modelling, [fresh])["loss"] > 0.95 * math.log(10)


def _train(model: nn.Module, objective: object, source: object, config: TrainerConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Trainer(model, objective, source, config=config, folder=Path(folder)).run()  # type: ignore[arg-type]


CONFIG = TrainerConfig(num_steps=150, peak_rate=5e-3, schedule=Schedule(num_warmup=10), report_every=150)


def test_causal_model_learns_to_count() -> None:
    model = _language_model()
    _train(model, causal_language_modelling, TextBatches(COUNTS, batch_size=20, seed=1, pad_id=PAD), CONFIG)
    found = evaluate(model, causal_language_modelling, [TokenBatch(*pad(COUNTS, PAD))])
    # The first number, the step and the length are free; all else follows.
    assert found["accuracy"] > 0.6
    assert found["loss"] < 1.2


def test_masked_model_learns_to_find_what_the_rest_of_the_text_tells() -> None:
    echoes = [[START, *[token] * length, END] for token in range(4, VOCABULARY) for length in (4, 5, 6, 7)]
    masking = Masking(mask_id=MASK, vocabulary=VOCABULARY, special_ids=range(4))
    source = MaskedBatches(TextBatches(echoes, batch_size=40, seed=1, pad_id=PAD), masking, seed=1)
    model = _masked_model()
    _train(model, masked_language_modelling, source, CONFIG)
    batch: MaskedBatch = masking.apply(TokenBatch(*pad(echoes, PAD)), seed=99)
    assert evaluate(model, masked_language_modelling, [batch])["accuracy"] > 0.9


def test_pair_model_learns_what_only_the_source_tells() -> None:
    pairs = [([4 + digit], [START, 4 + (digit + 3) % 10, END]) for digit in range(10)]
    model = _pair_model()
    _train(model, sequence_to_sequence, PairBatches(pairs, batch_size=10, seed=1, pad_id=PAD), CONFIG)
    batch: PairBatch = pair_batch(pairs, PAD)
    assert evaluate(model, sequence_to_sequence, [batch])["accuracy"] > 0.9
