"""From logits to tokens: penalties, the likeliest token, a drawn token.

Every row is treated alone, so that what a prompt gets does not depend on its batch.
Shapes: N rows, T tokens written so far, V vocabulary, K candidates, likeliest first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rag.errors import ModelError
from rag.transformer.generation.options import GenerationOptions

NUCLEUS_GUESS = 1024
"""Top-p looks among this many likeliest tokens first; to sort a large vocabulary takes twenty times as long."""


def apply_penalties(logits_NV: Tensor, written: Sequence[Sequence[int]], options: GenerationOptions) -> Tensor:
    """Logits with the penalties of ``options`` for the ``written`` tokens, of which all rows have equally many."""
    if not options.looks_back or not written[0]:
        return logits_NV
    written_NT = torch.tensor(written, device=logits_NV.device)
    if options.repetition_penalty != 1:
        logits_NV = penalise_repetition(logits_NV, written_NT, penalty=options.repetition_penalty)
    if options.no_repeat_ngram:
        logits_NV = ban_repeated_ngrams(logits_NV, written_NT, n=options.no_repeat_ngram)
    return logits_NV


def penalise_repetition(logits_NV: Tensor, written_NT: Tensor, *, penalty: float) -> Tensor:
    """Divide positive logits of written tokens by ``penalty`` and multiply negative ones (Keskar et al., 2019, 4.1)."""
    seen_NT = logits_NV.gather(1, written_NT)
    return logits_NV.scatter(1, written_NT, torch.where(seen_NT > 0, seen_NT / penalty, seen_NT * penalty))


def ban_repeated_ngrams(logits_NV: Tensor, written_NT: Tensor, *, n: int) -> Tensor:
    """Rule out tokens that would write a run of ``n`` tokens a second time; a row with none left stays as it is."""
    if written_NT.shape[1] < n:
        return logits_NV
    runs_NRn = written_NT.unfold(1, n, 1)
    begins_alike_NR = (runs_NRn[..., :-1] == written_NT[:, None, written_NT.shape[1] - n + 1 :]).all(-1)
    # A token can end several runs, so the runs are marked by adding: with plain writes the last one would win.
    counts_NV = torch.zeros_like(logits_NV).scatter_add_(1, runs_NRn[..., -1], begins_alike_NR.to(logits_NV.dtype))
    banned_NV = counts_NV > 0
    return logits_NV.masked_fill(banned_NV & ~banned_NV.all(-1, keepdim=True), -torch.inf)


def likeliest(logits_NV: Tensor) -> Tensor:
    """The likeliest token (N) of each row.

    Raises:
        ModelError: the model computed no numbers.
    """
    best = logits_NV.max(dim=-1)
    require_numbers(best.values)
    return best.indices


def draw(
    logits_NV: Tensor, uniform_N: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Tensor:
    """A token (N) for each row, drawn by its number from [0, 1): the same number and logits give the same token.

    First the temperature, then the ``top_k`` likeliest, then among these the nucleus of ``top_p``.

    Raises:
        ModelError: the model computed no numbers.
    """
    logits_NV = logits_NV / temperature
    if top_k:
        values_NK, ids_NK = logits_NV.topk(min(top_k, logits_NV.shape[-1]))
        return _draw_candidate(ids_NK, _keep_nucleus(values_NK.softmax(-1), top_p), uniform_N)
    if top_p < 1:
        return _draw_from_nucleus(logits_NV, uniform_N, top_p)
    return _draw_place(logits_NV.softmax(-1), uniform_N)


def _draw_from_nucleus(logits_NV: Tensor, uniform_N: Tensor, top_p: float) -> Tensor:
    total_N1 = logits_NV.logsumexp(-1, keepdim=True)
    values_NK, ids_NK = logits_NV.topk(min(NUCLEUS_GUESS, logits_NV.shape[-1]))
    probabilities_NK = (values_NK - total_N1).exp()
    token_N = _draw_candidate(ids_NK, _keep_nucleus(probabilities_NK, top_p), uniform_N)
    wide_N = probabilities_NK.sum(-1) < top_p
    if ids_NK.shape[1] < logits_NV.shape[1] and bool(wide_N.any()):
        token_N[wide_N] = _draw_place(_keep_wide_nucleus(logits_NV[wide_N].softmax(-1), top_p), uniform_N[wide_N])
    return token_N


def _keep_wide_nucleus(probabilities_NV: Tensor, top_p: float) -> Tensor:
    """Zero but for the likeliest tokens that reach ``top_p`` together, in the order of the vocabulary."""
    kept_NV = _keep_nucleus(probabilities_NV.sort(descending=True).values, top_p)
    least_N1 = kept_NV.where(kept_NV > 0, torch.inf).min(-1, keepdim=True).values
    return probabilities_NV.where(probabilities_NV >= least_N1, 0)


def _keep_nucleus(probabilities_NK: Tensor, top_p: float) -> Tensor:
    """Zero but for the first candidates that reach ``top_p`` together."""
    if top_p >= 1:
        return probabilities_NK
    before_NK = probabilities_NK.cumsum(-1) - probabilities_NK
    before_NK[:, 0] = 0  # whatever the rounding, the likeliest token stays
    return probabilities_NK.masked_fill(before_NK >= top_p, 0)


def _draw_candidate(ids_NK: Tensor, weights_NK: Tensor, uniform_N: Tensor) -> Tensor:
    """One of the candidates (N)."""
    # In the order of their ids: that of their weights may change with the rounding of the model, and the draw with it.
    ids_NK, order_NK = ids_NK.sort(-1)
    place_N = _draw_place(weights_NK.gather(1, order_NK), uniform_N)
    return ids_NK.gather(1, place_N[:, None]).squeeze(1)


def _draw_place(weights_NK: Tensor, uniform_N: Tensor) -> Tensor:
    """The place (N) at which the running sum of the weights passes the uniform number's share of the whole."""
    # In double precision, where a share below 1 of a sum stays below the sum, so a token of weight 0 is never drawn.
    sum_NK = weights_NK.double().cumsum(-1)
    require_numbers(sum_NK[:, -1])
    return torch.searchsorted(sum_NK, uniform_N[:, None] * sum_NK[:, -1:], right=True).squeeze(1)


def log_probabilities(logits_NV: Tensor, tokens_N: Tensor) -> Tensor:
    """log P (N) of the tokens."""
    return logits_NV.gather(1, tokens_N[:, None]).squeeze(1) - logits_NV.logsumexp(-1)


def require_numbers(values: Tensor) -> None:
    """Raises ModelError where a value is no finite number."""
    if not bool(values.isfinite().all()):
        raise ModelError("The model computes infinities: its weights are damaged, or need the data type float32.")
