import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from rag.errors import ModelError
from rag.transformer.layer_shape import LayerShape
from rag.transformer.masked_language_model import MaskedLanguageModel, load_masked_language_model
from rag.transformer.models import Encoder

Published = Callable[..., tuple[Path, PreTrainedModel]]
IDS = torch.randint(1, 99, (3, 11), generator=torch.Generator().manual_seed(0))
SEGMENTS = (torch.arange(11) > 4).long().expand(3, 11)
VALID = torch.arange(11)[None] < torch.tensor([[11], [7], [3]])


def test_logits_equal_those_of_transformers_padded_and_not(published: Published) -> None:
    folder, theirs = published("bert")
    ours = load_masked_language_model(folder).eval()
    with torch.inference_mode():
        expected = theirs(IDS, token_type_ids=SEGMENTS, attention_mask=VALID.long()).logits
        actual = ours(IDS, VALID, SEGMENTS)
    torch.testing.assert_close(actual[VALID], expected[VALID], atol=1e-4, rtol=0)


def test_selected_positions_alone_give_their_logits(published: Published) -> None:
    folder, _ = published("bert")
    ours = load_masked_language_model(folder).eval()
    select = torch.zeros_like(VALID)
    select[0, 3] = select[0, 9] = select[2, 1] = True
    with torch.inference_mode():
        expected = ours(IDS, VALID)[select]
        torch.testing.assert_close(ours(IDS, VALID, select=select), expected)


def test_older_files_with_gamma_and_beta_and_further_heads_are_read(published: Published) -> None:
    folder, theirs = published("bert")
    weights = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in weights.items()
    }
    old["cls.seq_relationship.weight"] = torch.zeros(2, 32)
    save_file(old, folder / "model.safetensors")
    with torch.inference_mode():
        expected = theirs(IDS, attention_mask=VALID.long()).logits
        actual = load_masked_language_model(folder).eval()(IDS, VALID)
    torch.testing.assert_close(actual[VALID], expected[VALID], atol=1e-4, rtol=0)


def test_head_that_is_missing_is_named(published: Published) -> None:
    folder, _ = published("bert")
    weights = load_file(folder / "model.safetensors")
    del weights["cls.predictions.transform.dense.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"lack the tensor cls\.predictions\.transform\.dense\.weight"):
        load_masked_language_model(folder)


def test_vocabulary_matrix_of_its_own_is_refused(published: Published) -> None:
    folder, _ = published("bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(ModelError, match="vocabulary matrix apart"):
        load_masked_language_model(folder)


def test_gradients_reach_encoder_and_head() -> None:
    torch.manual_seed(0)
    encoder = Encoder(LayerShape(width=32, num_heads=4, hidden=48), num_layers=2, vocabulary=99, max_positions=16)
    model = MaskedLanguageModel(encoder)
    select = VALID & (IDS % 3 == 0)
    loss = torch.nn.functional.cross_entropy(model(IDS, VALID, select=select), IDS[select])
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
