"""The same tokens as the generation of the transformers library, on small models with random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.language_model import LanguageModel
from rag.transformer.pretrained import load_language_model
from rag.transformer.tokenization import TextTokenizer

VOCABULARY = 60
PROMPTS = [[5, 9, 33, 7, 7, 12], [41], [8, 30, 22]]
Pair = tuple[PreTrainedModel, LanguageModel]


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.4)
    )


def llama() -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.4,
        )
    )


@pytest.fixture(scope="module", params=[gpt2, llama])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """One model twice: theirs, and ours loaded from the folder that theirs wrote."""
    torch.manual_seed(0)
    make: Callable[[], PreTrainedModel] = request.param
    theirs = make().eval()
    folder: Path = tmp_path_factory.mktemp("model")
    theirs.save_pretrained(folder)
    return theirs, load_language_model(folder).eval()


@pytest.fixture
def letters() -> TextTokenizer:
    """A tokenizer of as many tokens as the models; several of them end a text, so that many continuations do."""
    tokenizer = TextTokenizer.train_characters([chr(0x100 + i) for i in range(VOCABULARY - 4)])
    assert tokenizer.vocabulary_size == VOCABULARY
    tokenizer.end_ids = frozenset({3, *range(17, 40, 2)})
    return tokenizer


def their_ids(
    model: PreTrainedModel, prompts: list[list[int]], ends: frozenset[int], **settings: object
) -> list[tuple]:
    """What transformers writes after each prompt, all in one batch padded on the left."""
    T = max(map(len, prompts))
    ids = torch.tensor([[0] * (T - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (T - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    # bos_token_id is not used, but warned of where it is beyond the vocabulary.
    written = model.generate(
        ids, attention_mask=mask, do_sample=False, eos_token_id=sorted(ends), pad_token_id=0, bos_token_id=1, **settings
    )[:, T:].tolist()
    return [tuple(row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))]) for row in written]


def test_greedy_decoding_writes_the_same_tokens(pair: Pair, letters: TextTokenizer) -> None:
    theirs, ours = pair
    expected = their_ids(theirs, PROMPTS, letters.end_ids, max_new_tokens=40)
    assert [one.ids for one in generate(ours, letters, PROMPTS, GenerationOptions(max_new_tokens=40))] == expected


@pytest.mark.parametrize("length_penalty", [-0.5, 1.0, 2.0])
@pytest.mark.parametrize("num_beams", [2, 5])
def test_beam_search_finds_the_same_tokens(
    pair: Pair, letters: TextTokenizer, num_beams: int, length_penalty: float
) -> None:
    theirs, ours = pair
    prompts = [*PROMPTS, *[[token, token + 3] for token in range(10, 20)]]
    settings = {"num_beams": num_beams, "length_penalty": length_penalty, "max_new_tokens": 15}
    expected = their_ids(theirs, prompts, letters.end_ids, **settings)
    options = GenerationOptions(strategy="beam", **settings)
    actual = [one.ids for one in generate(ours, letters, prompts, options)]
    assert actual == expected
    assert min(map(len, actual)) < 15 or length_penalty > 1


def test_greedy_decoding_without_repetition_writes_the_same_tokens(pair: Pair, letters: TextTokenizer) -> None:
    theirs, ours = pair
    # A prompt of one token that is written nowhere: theirs looks at the prompt too, ours does not.
    settings = {"max_new_tokens": 30, "no_repeat_ngram_size": 2}
    expected = their_ids(theirs, [[41]], frozenset({3}), **settings)
    letters.end_ids = frozenset({3})
    (one,) = generate(ours, letters, [[41]], GenerationOptions(max_new_tokens=30, no_repeat_ngram=2))
    assert one.ids == expected[0]
