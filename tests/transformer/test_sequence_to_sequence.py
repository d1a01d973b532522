from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rag.transformer.layer_shape import LayerShape
from rag.transformer.sequence_to_sequence import SequenceToSequence, SequenceToSequenceConfig

SHAPE = LayerShape(
    width=32,
    num_heads=4,
    num_key_value_heads=2,
    hidden=48,
    norm="rms",
    norm_eps=1e-6,
    activation="swiglu",
    pre_norm=True,
    query_key_value_bias=False,
    output_bias=False,
    feed_forward_bias=False,
)
CONFIG = SequenceToSequenceConfig(
    vocabulary=40, shape=SHAPE, num_encoder_layers=2, num_decoder_layers=2, max_positions=24
)
CONFIGS = {
    "rotary": CONFIG,
    "learned": replace(CONFIG, position="learned", tied_embedding=False),
    "original": replace(
        CONFIG, position="sinusoidal", shape=LayerShape(width=32, num_heads=4, hidden=48, activation="relu")
    ),
}
SOURCE = torch.randint(0, 40, (3, 10), generator=torch.Generator().manual_seed(1))
VALID = torch.arange(10)[None] < torch.tensor([[10], [6], [1]])
TARGET = torch.randint(0, 40, (3, 20), generator=torch.Generator().manual_seed(2))


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> SequenceToSequence:
    torch.manual_seed(0)
    model = SequenceToSequence(CONFIGS[request.param]).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def run(model: SequenceToSequence, source: Tensor = SOURCE, valid: Tensor = VALID, target: Tensor = TARGET) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(source, valid, target)
    return logits


def test_decoding_with_a_cache_equals_decoding_without(model: SequenceToSequence) -> None:
    cache = model.new_cache(3, 20)
    with torch.inference_mode():
        memory = model.encode(SOURCE, VALID)
        blocks = [model.decode(block, memory, VALID, cache) for block in TARGET.split([1, 1, 16, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(blocks, dim=1), run(model), atol=1e-4, rtol=0)


def test_padding_of_the_source_changes_nothing(model: SequenceToSequence) -> None:
    expected = run(model)
    garbage = torch.where(VALID, SOURCE, (SOURCE + 7) % 40)
    torch.testing.assert_close(run(model, garbage), expected)
    torch.testing.assert_close(run(model, SOURCE[1:2, :6], VALID[1:2, :6], TARGET[1:2])[0], expected[1])
    on_the_left, moved = SOURCE.flip(1), VALID.flip(1)
    on_the_left[1, 4:] = SOURCE[1, :6]
    torch.testing.assert_close(run(model, on_the_left[1:2], moved[1:2], TARGET[1:2])[0], expected[1])


def test_later_target_tokens_are_not_seen(model: SequenceToSequence) -> None:
    changed = TARGET.clone()
    changed[:, 12:] = (changed[:, 12:] + 1) % 40
    before, after = run(model), run(model, target=changed)
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


def test_source_is_read_whole_and_in_order(model: SequenceToSequence) -> None:
    before = run(model)
    for changed in (SOURCE.roll(1, dims=1), torch.cat([SOURCE[:, :9], (SOURCE[:, 9:] + 1) % 40], dim=1)):
        assert not torch.allclose(run(model, changed)[0, 0], before[0, 0], atol=1e-3)


def test_packed_model_gives_the_same_logits(model: SequenceToSequence) -> None:
    expected = run(model)
    torch.testing.assert_close(run(model.pack()), expected, atol=1e-4, rtol=0)


def test_gradients_reach_every_weight(model: SequenceToSequence) -> None:
    model.train()
    torch.nn.functional.cross_entropy(model(SOURCE, VALID, TARGET).flatten(0, 1), TARGET.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_source_that_is_too_long_raises(model: SequenceToSequence) -> None:
    ids = torch.zeros(1, 25, dtype=torch.long)
    with pytest.raises(ValueError, match="25 positions"):
        model.encode(ids, torch.ones_like(ids, dtype=torch.bool))
