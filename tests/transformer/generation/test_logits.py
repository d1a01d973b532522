import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import (
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from rag.errors import ModelError
from rag.transformer.generation import logits as logits_module
from rag.transformer.generation.logits import (
    ban_repeated_ngrams,
    draw,
    likeliest,
    log_probabilities,
    penalise_repetition,
)


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(3, 50, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def written() -> Tensor:
    return torch.randint(0, 6, (3, 40), generator=torch.Generator().manual_seed(1))


def test_repetition_penalty_equals_that_of_transformers(logits: Tensor, written: Tensor) -> None:
    expected = RepetitionPenaltyLogitsProcessor(1.7)(written, logits.clone())
    torch.testing.assert_close(penalise_repetition(logits, written, penalty=1.7), expected)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_banned_tokens_are_those_of_transformers(logits: Tensor, written: Tensor, n: int) -> None:
    for length in (1, n - 1, n, 17, 40):
        if length < 1:
            continue
        expected = NoRepeatNGramLogitsProcessor(n)(written[:, :length], logits.clone())
        torch.testing.assert_close(ban_repeated_ngrams(logits, written[:, :length], n=n), expected)


def test_a_row_whose_every_token_is_banned_stays_as_it_is() -> None:
    logits = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    banned = ban_repeated_ngrams(logits, torch.tensor([[0, 1], [1, 1]]), n=1)
    assert banned.tolist() == [[1.0, 2.0], [1.0, -torch.inf]]


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.6), (0, 0.999), (9, 0.5), (80, 1e-9)])
@pytest.mark.parametrize("guess", [4, 1024])
def test_draws_have_the_probabilities_of_transformers_warpers(
    logits: Tensor, monkeypatch: pytest.MonkeyPatch, top_k: int, top_p: float, guess: int
) -> None:
    # With a guess of 4 tokens most nuclei are wider.
    monkeypatch.setattr(logits_module, "NUCLEUS_GUESS", guess)
    warped_NV = logits / 1.3
    if top_k:
        warped_NV = TopKLogitsWarper(top_k)(None, warped_NV)
    if top_p < 1:
        warped_NV = TopPLogitsWarper(top_p)(None, warped_NV)
    num_draws = 10_001
    uniform = torch.linspace(0, 1, num_draws + 1, dtype=torch.float64)[:-1]
    for row in range(3):
        drawn = draw(logits[row].expand(num_draws, -1), uniform, temperature=1.3, top_k=top_k, top_p=top_p)
        share_V = torch.bincount(drawn, minlength=50) / num_draws
        torch.testing.assert_close(share_V, warped_NV[row].softmax(0), atol=3e-4, rtol=0)


def test_a_draw_does_not_depend_on_the_other_rows(logits: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits_module, "NUCLEUS_GUESS", 4)
    logits[1, 7] = 60  # a row whose nucleus is one token
    for u in (0.0, 0.3, 0.999999999):
        uniform_N = torch.full((3,), u, dtype=torch.float64)
        together = draw(logits, uniform_N, top_p=0.9)
        alone = [int(draw(logits[i : i + 1], uniform_N[:1], top_p=0.9)) for i in range(3)]
        assert together.tolist() == alone


def test_the_largest_number_below_one_draws_no_impossible_token() -> None:
    logits = torch.full((1, 8), -torch.inf)
    logits[0, 2:4] = 0
    uniform_N = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert draw(logits, uniform_N).tolist() == [3]
    assert draw(logits, torch.zeros(1, dtype=torch.float64)).tolist() == [2]


def test_tokens_about_equally_likely_may_swap_places_without_effect() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0]])
    nudged_NV = logits + torch.tensor([[0.0, 0.0, 1e-6, 0.0]])
    for u in torch.arange(0.05, 1, 0.1, dtype=torch.float64):
        for settings in ({"top_k": 3}, {"top_p": 0.95}):
            assert draw(logits, u[None], **settings).equal(draw(nudged_NV, u[None], **settings))


def test_log_probabilities_are_those_of_a_log_softmax(logits: Tensor) -> None:
    tokens_N = likeliest(logits)
    expected = logits.log_softmax(-1).max(-1)
    assert tokens_N.equal(expected.indices)
    torch.testing.assert_close(log_probabilities(logits, tokens_N), expected.values)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_infinite_logits_are_an_error(logits: Tensor, bad: float) -> None:
    logits[1, 3] = bad
    uniform_N = torch.full((3,), 0.5, dtype=torch.float64)
    for settings in ({}, {"top_k": 5}, {"top_p": 0.5}):
        with pytest.raises(ModelError):
            draw(logits, uniform_N, **settings)
    with pytest.raises(ModelError):
        likeliest(logits)
