import pytest
import torch

from rag.reader.decode import Span, WrittenToken, propose_spans, runs, score_spans, word_end_mask, write_answer
from rag.reader.input_format import ReaderTokenizer, like_lengths
from rag.reader.model import NEGATIVE, Encoded, ReaderModel

PASSAGES = [("T", "Photosynthesis happened in 1987."), ("T", "The unbelievable cost was 3 francs.")]


def _encoded(tokenizer: ReaderTokenizer, seed: int):
    batch = tokenizer.batch(tokenizer.pairs("What did it cost?", PASSAGES))
    generator = torch.Generator().manual_seed(seed)
    shape = batch.ids_PL.shape
    start, end = (torch.randn(shape, generator=generator).masked_fill(~batch.copyable_PL, NEGATIVE) for _ in range(2))
    return batch, Encoded(torch.zeros(*shape, 1), start, end, *torch.zeros(3, shape[0]))


@pytest.mark.parametrize("seed", range(5))
def test_proposed_spans_are_the_best_by_exhaustive_search(tokenizer: ReaderTokenizer, seed: int) -> None:
    batch, encoded = _encoded(tokenizer, seed)
    start, end = (x.flatten().log_softmax(0).view_as(x) for x in (encoded.start_PL, encoded.end_PL))
    ends_word = word_end_mask(batch)
    every = [
        (float(start[p, i] + end[p, j]), p, i, j)
        for p in range(2)
        for i in range(batch.ids_PL.shape[1])
        for j in range(i, min(i + 4, batch.ids_PL.shape[1]))
        if batch.word_start_PL[p, i] and ends_word[p, j]
    ]
    expected = [Span(p, i, j) for _, p, i, j in sorted(every, reverse=True)[:5]]
    assert [span for span, _ in propose_spans(encoded, batch, num=5, max_tokens=4)] == expected


def test_spans_begin_and_end_at_word_borders(tokenizer: ReaderTokenizer) -> None:
    batch, encoded = _encoded(tokenizer, 0)
    pairs = tokenizer.pairs("What did it cost?", PASSAGES)
    for span, _ in propose_spans(encoded, batch, num=50):
        start, end = pairs[span.pair].char_span(span.first, span.last)
        text = PASSAGES[span.pair][1]
        assert start == 0 or not (text[start - 1].isalnum() and text[start].isalnum())
        assert end == len(text) or not (text[end - 1].isalnum() and text[end].isalnum())


def test_passage_without_tokens_proposes_nothing(tokenizer: ReaderTokenizer, tiny_model: ReaderModel) -> None:
    batch = tokenizer.batch(tokenizer.pairs("What?", [("T", "")]))
    with torch.inference_mode():
        assert propose_spans(tiny_model.encode(batch), batch) == []


def test_decoder_score_of_a_span_is_the_same_alone_and_among_others(
    tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    batch = tokenizer.batch(tokenizer.pairs("What did it cost?", PASSAGES))
    with torch.inference_mode():
        encoded = tiny_model.encode(batch)
        memory = tiny_model.remember(encoded, batch, torch.tensor([[0, 1]]))
        spans = [span for span, _ in propose_spans(encoded, batch, num=4)]
        together = score_spans(tiny_model, memory, spans, tokenizer)
        alone = [score_spans(tiny_model, memory, [span], tokenizer)[0] for span in spans]
    assert together == pytest.approx(alone, abs=1e-4)
    assert all(score < 0 for score in together)


def test_pairs_of_all_lengths_are_encoded_together_as_each_alone(
    tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    words = "The unbelievable cost was 3 francs. "
    pairs = tokenizer.pairs("What did it cost?", [("T", words * times) for times in (30, 1, 9, 1, 50)])
    batch = tokenizer.batch(pairs)
    assert sum(len(places) for places, _ in like_lengths(batch.valid_PL)) == 5
    assert len(like_lengths(batch.valid_PL)) == 4
    with torch.inference_mode():
        together = tiny_model.encode(batch)
        for row, pair in enumerate(pairs):
            alone, num = tiny_model.encode(tokenizer.batch([pair])), len(pair.ids)
            torch.testing.assert_close(together.start_PL[row, :num], alone.start_PL[0, :num], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(together.relevance_P[row], alone.relevance_P[0], atol=1e-4, rtol=1e-4)


def test_step_probabilities_add_up_to_one(tokenizer: ReaderTokenizer, tiny_model: ReaderModel) -> None:
    batch = tokenizer.batch(tokenizer.pairs("What did it cost?", PASSAGES))
    with torch.inference_mode():
        memory = tiny_model.remember(tiny_model.encode(batch), batch, torch.tensor([[0, 1]]))
        scores, _ = tiny_model.step(torch.tensor([[tokenizer.begin_id, 5]]), torch.tensor([[-1, 30]]), memory)
    total = scores.copy_QTS.exp().sum(-1) + scores.write_QTV.exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-4, rtol=0)


def test_written_tokens_with_cache_are_those_without(tokenizer: ReaderTokenizer, tiny_model: ReaderModel) -> None:
    batch = tokenizer.batch(tokenizer.pairs("What did it cost?", PASSAGES))
    with torch.inference_mode():
        memory = tiny_model.remember(tiny_model.encode(batch), batch, torch.tensor([[0, 1]]))
        written = write_answer(tiny_model, memory, tokenizer, max_tokens=6)
        L = batch.ids_PL.shape[1]
        ids, places = [tokenizer.begin_id], [-1]
        for token in written:
            scores, _ = tiny_model.step(torch.tensor([ids]), torch.tensor([places]), memory)
            best = max(float(scores.copy_QTS[0, -1].max()), float(scores.write_QTV[0, -1].max()))
            assert token.score == pytest.approx(best, abs=1e-3)
            ids.append(token.id)
            places.append(-1 if token.source is None else token.source[0] * L + token.source[1])


def test_neighbouring_copies_of_one_pair_are_one_run() -> None:
    def copied(pair: int, place: int) -> WrittenToken:
        return WrittenToken(7, (pair, place), -1.0)

    written = WrittenToken(7, None, -1.0)
    assert list(runs([copied(1, 4), copied(1, 5)])) == [Span(1, 4, 5)]
    assert list(runs([copied(1, 4), copied(1, 6)])) == [Span(1, 4, 4), Span(1, 6, 6)]
    assert list(runs([copied(0, 4), copied(1, 5)])) == [Span(0, 4, 4), Span(1, 5, 5)]
    assert list(runs([copied(0, 4), written, copied(0, 5)])) == [Span(0, 4, 4), written, Span(0, 5, 5)]
    assert list(runs([])) == []


def test_no_span_crosses_a_blank_line(tokenizer: ReaderTokenizer) -> None:
    text = "Nothing is lost\n\nSQL is the truth."
    pairs = tokenizer.pairs("What is the truth?", [("T", text)])
    batch = tokenizer.batch(pairs)
    shape = batch.ids_PL.shape
    flat = torch.zeros(shape).masked_fill(~batch.copyable_PL, NEGATIVE)
    proposed = propose_spans(Encoded(torch.zeros(*shape, 1), flat, flat, *torch.zeros(3, 1)), batch, num=200)
    quotes = [text[slice(*pairs[0].char_span(span.first, span.last))] for span, _ in proposed]
    assert "Nothing is lost" in quotes
    assert "SQL is the truth." in quotes
    assert not any("\n" in quote for quote in quotes)
