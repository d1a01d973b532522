from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import ModelError
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.input_format import LENGTH_BUCKET, MAX_LENGTH, ReaderTokenizer

TOKENIZER = ReaderTokenizer.load(model_folder(CARRIED_MODEL))


def test_pair_holds_question_context_and_passage_in_this_order() -> None:
    (pair,) = TOKENIZER.pairs("Who pays?", [("Handbook > Pay", "The state pays.")])
    assert " ".join(TOKENIZER.piece(number)[0] for number in pair.ids) == (
        "[CLS] who pays ? [SEP] handbook > pay [SEP] the state pays . [SEP]"
    )
    assert [token for token in pair.ids if token == TOKENIZER.end_id] == [TOKENIZER.end_id] * 3


def test_token_span_and_char_span_are_inverse_on_words() -> None:
    text = "In 1987 the Ångström unit (Å) cost 3,200 francs."
    (pair,) = TOKENIZER.pairs("?", [("", text)])
    for word in ("1987", "Ångström", "3,200 francs"):
        start = text.index(word)
        span = pair.token_span(start, start + len(word))
        assert span is not None
        assert pair.char_span(*span) == (start, start + len(word))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.text(max_size=300))
def test_any_text_becomes_a_pair_whose_offsets_lie_in_the_passage(question: str, passage: str) -> None:
    (pair,) = TOKENIZER.pairs(question, [("", passage)])
    assert len(pair.ids) <= MAX_LENGTH
    assert len(pair.offsets) == len(pair.word_starts) == len(pair.ids) - pair.passage_start - 1
    assert all(0 <= a <= b <= len(passage) for a, b in pair.offsets)


def test_what_exceeds_the_model_is_cut_off_and_an_answer_there_has_no_span() -> None:
    text = "word " * 600 + "answer"
    (pair,) = TOKENIZER.pairs("q " * 200, [("c " * 100, text)])
    assert len(pair.ids) == MAX_LENGTH
    assert pair.token_span(len(text) - 6, len(text)) is None


def test_batch_is_padded_to_a_bucket_and_marks_only_the_passage_as_copyable() -> None:
    pairs = TOKENIZER.pairs("Who?", [("T", "short"), ("T", "a much longer passage " * 10)])
    batch = TOKENIZER.batch(pairs)
    assert batch.ids_PL.shape[1] % LENGTH_BUCKET == 0
    for row, pair in enumerate(pairs):
        assert batch.copyable_PL[row].sum() == len(pair.offsets)
        assert batch.valid_PL[row].sum() == len(pair.ids)
        assert not batch.segments_PL[row, : pair.ids.index(TOKENIZER.end_id) + 1].any()


def test_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        ReaderTokenizer.load(tmp_path)
