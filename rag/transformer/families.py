"""The model families that language models are published in: what their configs mean, and how they call their tensors.

What would be computed wrongly is refused: sliding windows, other scalings of rotary positions, quantised weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag.errors import ModelError
from rag.transformer.feed_forward import Activation
from rag.transformer.language_model import LanguageModelConfig
from rag.transformer.positions import RotaryScaling


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How a family calls the tensors of ``LanguageModel``, without the last part (weight, bias).

    prefix: what may stand before all names but the vocabulary matrix; some files leave it out.
    layers: where the layers are, their number following.
    outside, inside: our stem to theirs, outside the layers and inside; several are put one below the other.
    transposed: matrices are stored inputs first.
    ignored: endings of tensors that hold nothing learned.
    """

    prefix: str
    layers: str
    outside: Mapping[str, str]
    inside: Mapping[str, tuple[str, ...]]
    transposed: bool = False
    ignored: tuple[str, ...] = ()

    def theirs(self, name: str) -> tuple[str, ...]:
        """The stored tensors that make up our tensor ``name``."""
        stem, _, kind = name.rpartition(".")
        if stem in self.outside:
            return (f"{self.outside[stem]}.{kind}",)
        _, number, part = stem.split(".", 2)
        return tuple(f"{self.layers}.{number}.{theirs}.{kind}" for theirs in self.inside[part])


GPT2_NAMES = Names(
    prefix="transformer.",
    layers="transformer.h",
    outside={
        "embedding.token": "transformer.wte",
        "embedding.position": "transformer.wpe",
        "norm": "transformer.ln_f",
        "unembedding": "lm_head",
    },
    inside={
        "attention.query_key_value": ("attn.c_attn",),
        "attention.output": ("attn.c_proj",),
        "attention_norm": ("ln_1",),
        "feed_forward.up": ("mlp.c_fc",),
        "feed_forward.down": ("mlp.c_proj",),
        "feed_forward_norm": ("ln_2",),
    },
    transposed=True,
    ignored=(".attn.bias", ".attn.masked_bias"),
)
LLAMA_NAMES = Names(
    prefix="model.",
    layers="model.layers",
    outside={"embedding.token": "model.embed_tokens", "norm": "model.norm", "unembedding": "lm_head"},
    inside={
        "attention.query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.query_norm": ("self_attn.q_norm",),
        "attention.key_norm": ("self_attn.k_norm",),
        "attention.output": ("self_attn.o_proj",),
        "attention_norm": ("input_layernorm",),
        "feed_forward.gate_up": ("mlp.gate_proj", "mlp.up_proj"),
        "feed_forward.down": ("mlp.down_proj",),
        "feed_forward_norm": ("post_attention_layernorm",),
    },
    ignored=(".rotary_emb.inv_freq",),
)
_GPT2_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}
# Options that change what is computed, with the only value that is supported.
_FIXED = {
    "add_cross_attention": False,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "use_sliding_window": False,
    "quantization_config": None,
    "partial_rotary_factor": 1.0,
    "is_encoder_decoder": False,
}


def understand(config: Mapping[str, Any]) -> tuple[LanguageModelConfig, Names]:
    """What a published ``config.json`` describes.

    Raises:
        ModelError: the family or one of its options is not supported, or a setting is missing or wrong.
    """
    family = config.get("model_type")
    if family not in ("gpt2", "llama", "qwen2", "qwen3"):
        raise ModelError(f"model_type {family!r} is not supported; gpt2, llama, qwen2 and qwen3 are.")
    for option, only in _FIXED.items():
        if config.get(option, only) not in (only, None):
            raise ModelError(f"config.json: {option}={config[option]!r} is not supported.")
    if any(kind != "full_attention" for kind in config.get("layer_types") or ()):
        raise ModelError("config.json: only layer_types of full_attention are supported.")
    try:
        if family == "gpt2":
            return _gpt2(config), GPT2_NAMES
        return _llama(config, family), LLAMA_NAMES
    except KeyError as error:
        raise ModelError(f"config.json lacks {error}.") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"config.json does not describe a {family} model: {error}.") from error


def _gpt2(config: Mapping[str, Any]) -> LanguageModelConfig:
    activation = _GPT2_ACTIVATIONS.get(config.get("activation_function", "gelu_new"))
    if activation is None:
        raise ModelError(f"config.json: activation_function={config['activation_function']!r} is not supported.")
    return LanguageModelConfig(
        vocabulary=config["vocab_size"],
        width=config["n_embd"],
        num_layers=config["n_layer"],
        num_heads=config["n_head"],
        hidden=config.get("n_inner") or 4 * config["n_embd"],
        max_positions=config["n_positions"],
        position="learned",
        norm="layer",
        norm_eps=config.get("layer_norm_epsilon", 1e-5),
        activation=activation,
        query_key_value_bias=True,
        output_bias=True,
        feed_forward_bias=True,
        tied_embedding=config.get("tie_word_embeddings", True),
    )


def _llama(config: Mapping[str, Any], family: str) -> LanguageModelConfig:
    """Llama and what follows it. Qwen2 has biases on queries, keys and values; Qwen3 normalises queries and keys."""
    if config.get("hidden_act", "silu") != "silu":
        raise ModelError(f"config.json: hidden_act={config['hidden_act']!r} is not supported.")
    attention_bias = bool(config.get("attention_bias", False))
    theta, scaling = _rotary(config)
    return LanguageModelConfig(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        num_key_value_heads=config.get("num_key_value_heads"),
        head_width=config["head_dim"] if family == "qwen3" else config.get("head_dim"),
        hidden=config["intermediate_size"],
        max_positions=config["max_position_embeddings"],
        position="rotary",
        rotary_theta=theta,
        rotary_scaling=scaling,
        norm="rms",
        norm_eps=config["rms_norm_eps"],
        activation="swiglu",
        query_key_value_bias=attention_bias or family == "qwen2",
        output_bias=attention_bias and family != "qwen2",
        feed_forward_bias=bool(config.get("mlp_bias", False)) and family == "llama",
        query_key_norm=family == "qwen3",
        tied_embedding=config.get("tie_word_embeddings", False),
    )


def _rotary(config: Mapping[str, Any]) -> tuple[float, RotaryScaling | None]:
    """Base and scaling of the rotary positions; newer files keep both in ``rope_parameters``."""
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(rotary.get("rope_theta", config.get("rope_theta", 10_000.0)))
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if rotary.get("partial_rotary_factor", 1.0) not in (1.0, None):
        raise ModelError(f"config.json: partial_rotary_factor={rotary['partial_rotary_factor']!r} is not supported.")
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise ModelError(f"config.json: rotary scaling of the type {kind!r} is not supported; llama3 is.")
    return theta, RotaryScaling(
        factor=float(rotary["factor"]),
        low_frequency_factor=float(rotary["low_freq_factor"]),
        high_frequency_factor=float(rotary["high_freq_factor"]),
        original_positions=rotary.get("original_max_position_embeddings") or config["max_position_embeddings"],
    )
