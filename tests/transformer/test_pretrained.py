"""Reading and writing model folders: what fits is read, everything else is refused with what to change."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from rag.errors import ModelError
from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.positions import RotaryScaling
from rag.transformer.pretrained import load_language_model, save_language_model

Published = Callable[..., tuple[Path, PreTrainedModel]]
IDS = torch.tensor([[5, 17, 3, 80, 2, 9]])
TINY = LanguageModelConfig(
    vocabulary=99, width=32, num_layers=2, num_heads=4, num_key_value_heads=2, hidden=48, max_positions=32
)


def rewrite_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    kept = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in kept.items() if value != "absent"}))


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        out = model(IDS)
    return out if isinstance(out, torch.Tensor) else out.logits


def test_shards_are_read_as_one(published: Published) -> None:
    folder, theirs = published("llama", max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    torch.testing.assert_close(logits(load_language_model(folder)), logits(theirs), atol=1e-4, rtol=0)


def test_older_gpt2_files_without_prefix_and_with_masks_are_read(published: Published) -> None:
    folder, theirs = published("gpt2")

    def as_of_old(weights: dict[str, torch.Tensor]) -> None:
        for name in list(weights):
            weights[name.removeprefix("transformer.")] = weights.pop(name)
        weights["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)

    rewrite_weights(folder, as_of_old)
    torch.testing.assert_close(logits(load_language_model(folder)), logits(theirs), atol=1e-4, rtol=0)


def test_older_llama_configs_are_understood(published: Published) -> None:
    folder, theirs = published("llama-grouped-tied-scaled-biased")
    scaling = json.loads((folder / "config.json").read_text())["rope_parameters"]
    theta = scaling.pop("rope_theta")
    rewrite_config(folder, rope_parameters="absent", rope_scaling=scaling, rope_theta=theta, head_dim="absent")
    torch.testing.assert_close(logits(load_language_model(folder)), logits(theirs), atol=1e-4, rtol=0)


def test_repeated_tied_vocabulary_matrix_is_left_out(published: Published) -> None:
    folder, theirs = published("qwen2-tied")

    def repeat(weights: dict[str, torch.Tensor]) -> None:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()

    rewrite_weights(folder, repeat)
    model = load_language_model(folder)
    assert model.unembedding is None
    torch.testing.assert_close(logits(model), logits(theirs), atol=1e-4, rtol=0)


def test_weights_are_turned_into_the_type_asked_for(published: Published) -> None:
    folder, theirs = published("qwen3")
    model = load_language_model(folder, torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.nn.functional.cosine_similarity(logits(model), logits(theirs), dim=-1).min() > 0.99


def test_loaded_model_can_be_trained_on(published: Published) -> None:
    folder, _ = published("qwen3")
    model = load_language_model(folder).train()
    model(IDS).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tied_embedding": False, "position": "learned", "norm": "layer", "activation": "gelu"},
        {"query_key_norm": True, "head_width": 12, "query_key_value_bias": True},
        {"position": "sinusoidal", "pre_norm": False},
        {
            "rotary_scaling": RotaryScaling(
                factor=2.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=16
            )
        },
    ],
    ids=str,
)
def test_saved_model_is_read_back(change: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LanguageModel(replace(TINY, **change)).eval()
    save_language_model(model, tmp_path / "new")
    read = load_language_model(tmp_path / "new")
    assert read.config == model.config
    assert torch.equal(logits(read), logits(model))


def test_packed_model_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"before pack\(\)"):
        save_language_model(LanguageModel(TINY).pack(), tmp_path)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("llama", {"model_type": "mamba"}, "'mamba' is not supported; gpt2, llama, qwen2 and qwen3 are"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "'yarn' is not supported"),
        ("llama", {"rope_parameters": {"rope_type": "llama3"}}, "lacks 'factor'"),
        ("llama", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ("llama", {"quantization_config": {"bits": 4}}, "quantization_config"),
        ("llama", {"hidden_size": "absent"}, "lacks 'hidden_size'"),
        ("llama", {"num_attention_heads": 3, "num_key_value_heads": 2}, "does not describe"),
        ("llama", {"num_hidden_layers": "three"}, "does not describe"),
        ("llama", {"hidden_size": 64}, r"embedding\.token\.weight is \[99, 32\], but config\.json asks for \[99, 64\]"),
        ("llama", {"num_hidden_layers": 4}, "lack the tensor model.layers.3.self_attn.q_proj.weight"),
        ("llama", {"num_hidden_layers": 2}, "tensors are unknown to this kind of model: model.layers.2"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window=True"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ("qwen3", {"head_dim": "absent"}, "lacks 'head_dim'"),
        ("gpt2", {"activation_function": "swish"}, "activation_function='swish'"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
    ],
)
def test_configs_that_are_not_supported_or_do_not_fit_are_refused(
    name: str, changes: dict[str, Any], message: str, published: Published
) -> None:
    folder, _ = published(name)
    rewrite_config(folder, **changes)
    with pytest.raises(ModelError, match=message):
        load_language_model(folder)


def test_weights_of_another_family_are_refused(published: Published) -> None:
    folder, _ = published("qwen3")
    rewrite_config(folder, model_type="llama")
    with pytest.raises(ModelError, match="unknown to this kind of model: model.layers.0.self_attn.k_norm.weight"):
        load_language_model(folder)


def test_folder_of_pickles_is_refused_with_what_to_do(published: Published) -> None:
    folder, _ = published("llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickles.*convert them to model\.safetensors"):
        load_language_model(folder)


def test_missing_files_are_named(published: Published, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        load_language_model(tmp_path / "nowhere")
    folder, _ = published("llama")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        load_language_model(folder)


def test_damaged_files_are_refused(published: Published) -> None:
    folder, _ = published("llama")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_language_model(folder)
    for content, message in (("{", "is not JSON"), ("[]", "is not a JSON object")):
        (folder / "config.json").write_text(content)
        with pytest.raises(ModelError, match=message):
            load_language_model(folder)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../model-00001-of-00002.safetensors"}, "shards must be safetensors files beside it"),
        ({"a": "/etc/model.safetensors"}, "shards must be"),
        ({"a": "..\\model.safetensors"}, "shards must be"),
        ({"a": "model.bin"}, "shards must be"),
        ({"a": 7}, "shards must be"),
        ({"a": "model-00009-of-00009.safetensors"}, "the shard model-00009-of-00009.safetensors is missing"),
        ({}, "no weight_map"),
        ("all", "no weight_map"),
    ],
)
def test_indexes_that_lead_elsewhere_are_refused(weight_map: Any, message: str, published: Published) -> None:
    folder, _ = published("llama", max_shard_size="20KB")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelError, match=message):
        load_language_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"depth": 3}, "does not describe a language model: .*depth"),
        ({"rotary_scaling": {"by": 2}}, "does not describe a language model"),
        ({"norm": "batch"}, "batch"),
    ],
)
def test_own_configs_that_do_not_fit_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_language_model(LanguageModel(TINY), tmp_path)
    rewrite_config(tmp_path, **changes)
    with pytest.raises(ModelError, match=message):
        load_language_model(tmp_path)
