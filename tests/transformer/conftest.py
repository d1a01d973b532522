"""Tiny random models of the published families, made and saved by the ``transformers`` library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SMALL: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
GROUPED: dict[str, Any] = {**SMALL, "num_key_value_heads": 2}
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def build(name: str) -> PreTrainedModel:
    """An untrained model; what comes after the family's name is how it differs from the plainest one."""
    if name == "bert":
        return BertForMaskedLM(BertConfig(**SMALL))
    if name == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=99, n_embd=32, n_layer=3, n_head=4, n_positions=64))
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(**SMALL))
    if name == "llama-grouped-tied-scaled-biased":
        biases = {"attention_bias": True, "mlp_bias": True}
        return LlamaForCausalLM(
            LlamaConfig(**GROUPED, **biases, tie_word_embeddings=True, rope_parameters=LLAMA3_SCALING)
        )
    if name == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**GROUPED))
    if name == "qwen2-tied":
        return Qwen2ForCausalLM(Qwen2Config(**GROUPED, tie_word_embeddings=True))
    assert name == "qwen3", name
    return Qwen3ForCausalLM(Qwen3Config(**GROUPED, head_dim=16))


def stir(model: PreTrainedModel) -> None:
    """Give every weight a value that shows: fresh models have biases of 0, norms of 1, and all but flat attention."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            else:
                parameter.copy_(torch.randn_like(parameter) * 0.3)


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., tuple[Path, PreTrainedModel]]:
    """``published("llama")``: a folder as it is published, and the model it was saved from."""

    def publish(name: str, **save_options: Any) -> tuple[Path, PreTrainedModel]:
        model = build(name).eval()
        stir(model)
        folder = tmp_path / name
        model.save_pretrained(folder, **save_options)
        return folder, model

    return publish
