"""Writing several answers at once, one token of each at a time: greedy decoding and sampling.

Shapes: N rows, V vocabulary.
"""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rag.transformer.generation.continuation import Continuation
from rag.transformer.generation.logits import apply_penalties, draw, likeliest, log_probabilities
from rag.transformer.generation.model_run import ModelRun
from rag.transformer.generation.options import GenerationOptions


def choose(
    logits_NV: Tensor, continuations: Sequence[Continuation], options: GenerationOptions
) -> list[tuple[int, float | None]]:
    """The next token of each row and, if the options ask for it, its log-probability."""
    scores_NV = apply_penalties(logits_NV, [c.ids for c in continuations], options)
    if options.strategy == "greedy":
        tokens_N = likeliest(scores_NV)
    else:
        uniform = [continuation.random.random() for continuation in continuations]
        uniform_N = torch.tensor(uniform, dtype=torch.float64, device=logits_NV.device)
        tokens_N = draw(scores_NV, uniform_N, temperature=options.temperature, top_k=options.top_k, top_p=options.top_p)
    if not options.log_probabilities:
        return [(token, None) for token in tokens_N.tolist()]
    return list(zip(tokens_N.tolist(), log_probabilities(logits_NV, tokens_N).tolist(), strict=True))


@torch.inference_mode()
def write(run: ModelRun, continuations: Sequence[Continuation], options: GenerationOptions) -> Iterator[None]:
    """Write every continuation to its end, pausing after each token. Finished rows leave the batch."""
    deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    live = list(continuations)
    logits_NV = run.read_prompts()
    while True:
        for continuation, (token, score) in zip(live, choose(logits_NV, live, options), strict=True):
            continuation.push(token, score)
        finish_late(live, deadline)
        yield
        rows = [row for row, continuation in enumerate(live) if continuation.reason is None]
        if not rows:
            return
        if len(rows) < len(live):
            run.select(rows)
            live = [live[row] for row in rows]
        logits_NV = run.read([[continuation.ids[-1]] for continuation in live])[:, -1]


def finish_late(continuations: Sequence[Continuation], deadline: float | None) -> None:
    """End what is still being written after ``deadline``, in the seconds of ``time.monotonic``."""
    if deadline is not None and time.monotonic() >= deadline:
        for continuation in continuations:
            if continuation.reason is None:
                continuation.finish("timeout")
