from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from torch import nn

from rag.errors import InvalidInput
from rag.transformer.generation import GenerationOptions, generate, stream
from rag.transformer.generation.streaming import IncrementalDecoder, whole_characters
from rag.transformer.special_tokens import SpecialIds
from rag.transformer.tokenization import TextTokenizer

BYTES = TextTokenizer.train_byte_level_bpe(["the rota is kept by Ada"] * 3, 280)
WORDPIECE = TextTokenizer.train_wordpiece(["unbelievable rotas are kept, kept by Ada"] * 3, 60)


def decoded(tokenizer: TextTokenizer, ids: list[int]) -> list[str]:
    decoder = IncrementalDecoder(tokenizer)
    return [decoder.push(token_id) for token_id in ids]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_pieces_make_up_the_text_and_are_whole_characters(text: str) -> None:
    pieces = decoded(BYTES, BYTES.encode(text))
    assert "".join(pieces) == whole_characters(text)
    if "\ufffd" not in text:
        assert "\ufffd" not in "".join(pieces)


@settings(deadline=None)
@given(st.lists(st.integers(0, BYTES.vocabulary_size - 1), max_size=40))
def test_pieces_make_up_the_text_of_any_tokens(ids: list[int]) -> None:
    assert "".join(decoded(BYTES, ids)) == whole_characters(BYTES.decode(ids))


@settings(deadline=None)
@given(st.lists(st.integers(5, WORDPIECE.vocabulary_size - 1), max_size=20))
def test_pieces_of_wordpiece_keep_the_spaces(ids: list[int]) -> None:
    assert "".join(decoded(WORDPIECE, ids)) == WORDPIECE.decode(ids)


def test_sentencepiece_style_keeps_spaces_and_joins_bytes() -> None:
    vocabulary = {"<unk>": 0, "▁Ada": 1, "▁keeps": 2, "s": 3, **{f"<0x{byte:02X}>": 4 + byte for byte in range(256)}}
    inner = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = TextTokenizer(inner, SpecialIds(pad=0, start=None, ends=frozenset()))
    smile = [4 + byte for byte in "🙂".encode()]
    pieces = decoded(tokenizer, [1, 2, *smile, 1, 4 + 0xC3, 4 + 0xA9])
    assert pieces == ["Ada", " keeps", "", "", "", "🙂", " Ada", "", "é"]


def test_a_character_left_half_written_is_dropped(script_model: Callable[[str], Any], tokenizer: TextTokenizer) -> None:
    model = script_model("Zoë 🙂")
    num_tokens = len(tokenizer.encode("Zoë 🙂"))
    for left_out in (1, 2):
        options = GenerationOptions(max_new_tokens=num_tokens - left_out)
        (one,) = generate(model, tokenizer, [[70]], options)
        assert one.reason == "length"
        assert one.text == "Zoë "
        assert "".join(stream(model, tokenizer, [70], options)) == "Zoë "


def test_stop_text_across_tokens_never_leaks(script_model: Callable[[str], Any], tokenizer: TextTokenizer) -> None:
    model = script_model("Ada keeps it. 漢字\nUser: who?\nAssistant: no")
    options = GenerationOptions(max_new_tokens=90, stop=("\nUser:", "漢字\nX"))
    (one,) = generate(model, tokenizer, [[70]], options)
    pieces = list(stream(model, tokenizer, [70], options))
    assert one.text == "".join(pieces) == "Ada keeps it. 漢字"
    assert one.reason == "stop"
    assert tokenizer.decode(one.ids).endswith("User:")
    assert len(pieces) > 5
    (searched,) = generate(model, tokenizer, [[70]], replace(options, strategy="beam", num_beams=2))
    assert (searched.text, searched.reason) == (one.text, "stop")


def test_stop_text_inside_one_token_cuts_the_text(script_model: Callable[[str], Any], tokenizer: TextTokenizer) -> None:
    model = script_model("the rota")
    assert any(len(tokenizer.decode([token])) > 3 for token in tokenizer.encode("the rota"))
    (one,) = generate(model, tokenizer, [[70]], GenerationOptions(max_new_tokens=50, stop=("ot",)))
    assert (one.text, one.reason) == ("the r", "stop")


@pytest.mark.parametrize("stop", [(), ("e", "qz")])
@pytest.mark.parametrize("lookup", [0, 4])
@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_stream_gives_the_text_of_generate(
    model: nn.Module, tokenizer: TextTokenizer, strategy: Any, lookup: int, stop: tuple[str, ...]
) -> None:
    for seed in range(2):
        options = GenerationOptions(
            max_new_tokens=30, strategy=strategy, seed=seed, temperature=0.5, prompt_lookup=lookup, stop=stop
        )
        prompt = tokenizer.encode("Ada keeps the rota, and Ada")[seed:]
        (one,) = generate(model, tokenizer, [prompt], options)
        pieces = list(stream(model, tokenizer, prompt, options))
        assert "".join(pieces) == one.text
        assert all(pieces)


def test_beams_have_no_stream(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    with pytest.raises(InvalidInput, match="greedy or sample"):
        stream(table_model, tokenizer, [70], GenerationOptions(strategy="beam"))


def test_a_bad_prompt_is_refused_before_the_first_piece(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    with pytest.raises(InvalidInput, match="at least one token"):
        stream(table_model, tokenizer, [])
