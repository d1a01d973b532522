import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from rag.errors import InvalidInput, ModelError
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.transformer.special_tokens import SpecialIds
from rag.transformer.tokenization import Markup, TextTokenizer

TEXTS = ["Ada keeps the support rota.\nThe café opens at nine.", "Zoë said: 漢字 🙂, and the rota, the rota!"]
CHAT_TOKENS = ("<|im_start|>", "<|im_end|>")
BYTES = TextTokenizer.train_byte_level_bpe(TEXTS * 3, 330, extra_specials=CHAT_TOKENS)
TRAINED: dict[str, Callable[[list[str]], TextTokenizer]] = {
    "characters": TextTokenizer.train_characters,
    "words": lambda texts: TextTokenizer.train_words(texts, 40),
    "wordpiece": lambda texts: TextTokenizer.train_wordpiece(texts, 120),
    "byte_level_bpe": lambda texts: TextTokenizer.train_byte_level_bpe(texts, 330),
}
ONCE = {kind: train([*TEXTS, "🙂"]) for kind, train in TRAINED.items()}
CONTROL = ["[CLS]", "[SEP]", "[PAD]", "<pad>", "<start>", "<end>", "<|end|>", "<|pad|>", "<|start|>"]


@settings(deadline=None)
@given(st.text())
def test_bytes_lose_no_text(text: str) -> None:
    assert BYTES.decode(BYTES.encode(text)) == text


@settings(deadline=None)
@given(st.text(st.sampled_from("Adarot \n.éZ🙂")))
def test_characters_lose_no_text_of_their_alphabet(text: str) -> None:
    tokenizer = ONCE["characters"]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text)


def test_words_and_wordpieces_are_put_together_again() -> None:
    words, wordpiece = ONCE["words"], ONCE["wordpiece"]
    assert words.decode(words.encode("the rota, Ada")) == "the rota , Ada"
    ids = wordpiece.encode("The SUPPORT rota!")
    assert wordpiece.decode(ids) == "the support rota!"
    assert wordpiece.encode("☃") == [wordpiece.special_id("[UNK]")]


def test_the_most_frequent_words_are_kept() -> None:
    words = TextTokenizer.train_words(["b b b a a c"], 6)
    assert words.decode(words.encode("a b c"), skip_special=False) == "a b <unk>"


@pytest.mark.parametrize("kind", TRAINED)
def test_training_is_the_same_every_time_and_survives_the_disk(kind: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        TRAINED[kind](TEXTS).save(tmp_path / name)
    assert (tmp_path / "first/tokenizer.json").read_bytes() == (tmp_path / "second/tokenizer.json").read_bytes()
    trained, loaded = TRAINED[kind](TEXTS), TextTokenizer.load(tmp_path / "first")
    assert loaded.encode(TEXTS[0]) == trained.encode(TEXTS[0])
    assert loaded.decode(loaded.encode(TEXTS[0])) == trained.decode(trained.encode(TEXTS[0]))
    assert loaded.vocabulary_size == trained.vocabulary_size
    assert (loaded.pad_id, loaded.start_id, loaded.end_ids) == (trained.pad_id, trained.start_id, trained.end_ids)
    assert len({trained.pad_id, trained.start_id, *trained.end_ids}) == 3


@pytest.mark.parametrize("kind", TRAINED)
@settings(deadline=None)
@given(text=st.lists(st.sampled_from([*CONTROL, "a", " ", "<", "[", "|>", "\n"]), max_size=8).map("".join))
def test_control_tokens_in_a_text_are_text(kind: str, text: str) -> None:
    tokenizer = ONCE[kind]
    control = {tokenizer.pad_id, tokenizer.start_id, *tokenizer.end_ids}
    assert not control & set(tokenizer.encode(text))
    assert not control & set(tokenizer.encode_parts([Markup("a"), text, Markup("a")]))


def test_control_tokens_count_in_markup_only() -> None:
    start, end = (BYTES.special_id(token) for token in CHAT_TOKENS)
    ids = BYTES.encode_parts([Markup("<|im_start|>user\n"), "<|im_end|>hi", Markup("<|im_end|>")])
    assert (ids[0], ids[-1]) == (start, end)
    assert not {start, end} & set(ids[1:-1])
    assert BYTES.decode(ids) == "user\n<|im_end|>hi"
    assert BYTES.decode(ids, skip_special=False) == "<|im_start|>user\n<|im_end|>hi<|im_end|>"


def test_parts_join_as_if_they_were_one_text() -> None:
    assert BYTES.encode_parts([Markup("the "), "rota"]) == BYTES.encode("the rota")
    # Not even a control token whose halves come from two sides counts.
    assert BYTES.special_id("<|im_end|>") not in BYTES.encode_parts([Markup("<|im_"), "end|>"])


def test_empty_texts_have_no_tokens() -> None:
    assert BYTES.encode("") == BYTES.encode_parts([]) == BYTES.encode_parts([Markup("")]) == []
    assert BYTES.decode([]) == ""


def test_the_seam_between_parts_cannot_be_written() -> None:
    end = BYTES.special_id("<|im_end|>")
    ids = BYTES.encode_parts([f"a{BYTES._seam}b", Markup("<|im_end|>"), BYTES._seam])
    assert ids == [*BYTES.encode("ab"), end]


def test_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Unicode"):
        BYTES.encode("\ud800")


def test_ids_beyond_the_vocabulary_decode_to_nothing() -> None:
    assert BYTES.decode([BYTES.vocabulary_size, BYTES.vocabulary_size + 5]) == ""


def test_unknown_control_tokens_are_named() -> None:
    with pytest.raises(ModelError, match=r"no control token <\|eot\|>.*<\|im_end\|>"):
        BYTES.special_id("<|eot|>")


@pytest.mark.parametrize(
    "train",
    [
        lambda: TextTokenizer.train_characters([""]),
        lambda: TextTokenizer.train_words([], 10),
        lambda: TextTokenizer.train_wordpiece([" "], 10),
    ],
)
def test_training_without_text_is_refused(train: Callable[[], TextTokenizer]) -> None:
    with pytest.raises(InvalidInput, match="no text"):
        train()


@pytest.mark.parametrize(
    "train",
    [
        lambda: TextTokenizer.train_words(TEXTS, 4),
        lambda: TextTokenizer.train_wordpiece(TEXTS, 20),
        lambda: TextTokenizer.train_byte_level_bpe(TEXTS, 258),
    ],
)
def test_vocabularies_without_room_are_refused(train: Callable[[], TextTokenizer]) -> None:
    with pytest.raises(InvalidInput, match="at least"):
        train()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a tokenizer and nothing more."""
    BYTES.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    return tmp_path


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


def test_special_ids_come_from_names_numbers_and_lists(folder: Path) -> None:
    write(folder, "config.json", {"bos_token_id": 7, "eos_token_id": 8, "pad_token_id": -1})
    loaded = TextTokenizer.load(folder)
    assert (loaded.pad_id, loaded.start_id, loaded.end_ids) == (8, 7, {8})
    write(folder, "generation_config.json", {"eos_token_id": [9, 10], "pad_token_id": 11})
    loaded = TextTokenizer.load(folder)
    assert (loaded.pad_id, loaded.start_id, loaded.end_ids) == (11, 7, {8, 9, 10})
    write(
        folder, "tokenizer_config.json", {"bos_token": None, "eos_token": {"content": "<|im_end|>"}, "pad_token": "a"}
    )
    loaded = TextTokenizer.load(folder)
    (a,) = loaded.encode("a")
    assert (loaded.pad_id, loaded.start_id, loaded.end_ids) == (a, None, {8, 9, 10, loaded.special_id("<|im_end|>")})
    loaded.save(folder / "again")
    again = TextTokenizer.load(folder / "again")
    assert (again.pad_id, again.start_id, again.end_ids) == (loaded.pad_id, loaded.start_id, loaded.end_ids)


def test_folder_that_says_nothing_has_no_end(folder: Path) -> None:
    loaded = TextTokenizer.load(folder)
    assert (loaded.pad_id, loaded.start_id, loaded.end_ids) == (0, None, frozenset())


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        TextTokenizer.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff\x00", b'{"model": {"type": "BPE", "vocab": 3}}'])
def test_damaged_tokenizer_is_named(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json is damaged"):
        TextTokenizer.load(folder)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json", "config.json"])
def test_damaged_settings_are_named(folder: Path, name: str) -> None:
    for content in (b"{", b"[]", b"\xff"):
        (folder / name).write_bytes(content)
        with pytest.raises(ModelError, match=f"{name} is damaged"):
            TextTokenizer.load(folder)


def test_special_token_that_the_tokenizer_lacks_is_named(folder: Path) -> None:
    write(folder, "tokenizer_config.json", {"eos_token": "<|eot|>"})
    with pytest.raises(ModelError, match=r"lacks <\|eot\|>, its eos_token"):
        TextTokenizer.load(folder)


def test_tokens_that_control_but_are_not_marked_special_are_text_too() -> None:
    inner = Tokenizer.from_str(BYTES._tokenizer.to_str())
    inner.add_tokens([AddedToken("</think>", special=False, normalized=False), AddedToken("    ", normalized=False)])
    tokenizer = TextTokenizer(inner, SpecialIds(pad=0, start=None, ends=frozenset()))
    think = tokenizer.special_id("</think>")
    assert think not in tokenizer.encode("a</think>b")
    assert think in tokenizer.encode_parts([Markup("a</think>b")])
    assert tokenizer.decode([think]) == "</think>"  # as the folder has it: not special, so not left out
    # Runs of spaces control nothing: they stay the one token that the model knows.
    assert tokenizer.encode("a    b") == [*tokenizer.encode("a"), inner.token_to_id("    "), *tokenizer.encode("b")]


@pytest.mark.parametrize("special", [True, False])
def test_a_text_has_the_tokens_that_it_would_have_without_control_tokens(special: bool) -> None:
    inner = Tokenizer.from_str(BYTES._tokenizer.to_str())
    inner.add_tokens([AddedToken("rota is", special=special, normalized=False, lstrip=True, rstrip=True)])
    tokenizer = TextTokenizer(inner, SpecialIds(pad=0, start=None, ends=frozenset()))
    assert tokenizer.encode("the rota is new") == BYTES.encode("the rota is new")


def forging_merges() -> Tokenizer:
    vocabulary = {"</s>": 0, "<": 1, "/": 2, "s": 3, ">": 4, "</": 5, "s>": 6}
    return Tokenizer(models.BPE(vocabulary, [("<", "/"), ("s", ">"), ("</", "s>")]))


def forging_words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"</s>": 0, "s": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def forging_unigrams() -> Tokenizer:
    return Tokenizer(models.Unigram([("</s>", 0.0), ("<", -9.0), ("/", -9.0), ("s", -9.0), (">", -9.0)], unk_id=1))


@pytest.mark.parametrize("make", [forging_merges, forging_words, forging_unigrams])
@pytest.mark.parametrize("text", ["</s>", "s </s></s> s", "＜/s＞ </s>"])
def test_vocabularies_that_lead_to_a_control_token_do_not(make: Callable[[], Tokenizer], text: str) -> None:
    inner = make()
    inner.normalizer = normalizers.NFKC()
    inner.add_special_tokens(["</s>"])
    tokenizer = TextTokenizer(inner, SpecialIds(pad=0, start=None, ends=frozenset({0})))
    assert 0 not in tokenizer.encode(text)
    ids = tokenizer.encode_parts([text, Markup("s</s>"), text])
    assert ids.count(0) == 1
    assert ids == [*tokenizer.encode(text + "s"), 0, *tokenizer.encode(text)]


def test_white_space_around_a_control_token_goes_where_the_tokenizer_says() -> None:
    inner = Tokenizer.from_str(BYTES._tokenizer.to_str())
    inner.add_special_tokens([AddedToken("<|cut|>", lstrip=True, rstrip=True)])
    tokenizer = TextTokenizer(inner, SpecialIds(pad=0, start=None, ends=frozenset()))
    text = "a  <|cut|> \n b<|im_end|> c"
    assert tokenizer.encode_parts([Markup(text)]) == inner.encode(text, add_special_tokens=False).ids


def test_metaspace_stands_before_the_first_word_only() -> None:
    inner = Tokenizer(models.BPE({"▁": 0, "a": 1, "▁a": 2, "<s>": 3}, [("▁", "a")]))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    inner.add_special_tokens(["<s>"])
    tokenizer = TextTokenizer(inner, SpecialIds(pad=0, start=None, ends=frozenset()))
    for text in ("a<s>a a", "<s>a"):
        assert tokenizer.encode_parts([Markup(text)]) == inner.encode(text, add_special_tokens=False).ids


def test_truncation_and_padding_of_the_file_are_off(tmp_path: Path) -> None:
    shutil.copy(model_folder(CARRIED_MODEL) / "tokenizer.json", tmp_path)
    tokenizer = TextTokenizer.load(tmp_path)
    inner = json.loads((tmp_path / "tokenizer.json").read_text())
    assert inner["truncation"]
    assert inner["padding"]
    ids = tokenizer.encode("rota [SEP] " * 400)
    assert len(ids) > 400
    assert not {tokenizer.special_id("[SEP]"), tokenizer.special_id("[PAD]")} & set(ids)
