"""Writing several tokens of one answer at a time, by guessing them from the prompt (prompt lookup, Saxena, 2023).

An answer about a text often repeats its words. Where the last tokens have occurred before, those that followed them
then are a guess at what follows now; the model reads a whole guess in one pass and says what it would have written
after each token. Guesses count as far as they agree with it. That is the rule of Leviathan et al. (2023) for a draft
that is certain of itself: when the model draws from P, a guess x passes with probability P(x), and else the token comes
from P without x. So the answer is the one that would have been written without guessing.
"""

import time
from collections.abc import Iterator, Sequence

import torch

from rag.transformer.generation.autoregressive import choose, finish_late
from rag.transformer.generation.continuation import Continuation
from rag.transformer.generation.model_run import ModelRun
from rag.transformer.generation.options import GenerationOptions

RUN_LENGTHS = (3, 2)
"""How many last tokens must have occurred together before. One alone says too little, and a wrong guess costs time."""


class PromptLookup:
    """Where each short run of tokens occurred last."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        for token_id in ids:
            self.add(token_id)

    def add(self, token_id: int) -> None:
        """Append a token."""
        # The runs that end here are kept only now that it is known what follows them.
        at = len(self._ids)
        for length in RUN_LENGTHS:
            if at >= length:
                self._after[tuple(self._ids[at - length :])] = at
        self._ids.append(token_id)

    def guess(self, num_tokens: int) -> list[int]:
        """Up to ``num_tokens`` that followed the longest known run at the end of the tokens, where it occurred last."""
        for length in RUN_LENGTHS:
            at = self._after.get(tuple(self._ids[-length:]))
            if at is not None:
                return self._ids[at : at + num_tokens]
        return []


@torch.inference_mode()
def write_guessing(
    run: ModelRun, prompt: Sequence[int], continuation: Continuation, options: GenerationOptions
) -> Iterator[None]:
    """Write ``continuation`` to its end as ``write`` would, pausing after each pass of the model."""
    deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    lookup = PromptLookup(prompt)
    guess: list[int] = []
    logits_TV = run.read_prompts()
    while True:
        num_right = 0
        for place, logits_V in enumerate(logits_TV):
            ((token, score),) = choose(logits_V[None], [continuation], options)
            continuation.push(token, score)
            lookup.add(token)
            if continuation.reason is not None or place == len(guess) or token != guess[place]:
                break
            num_right += 1
        run.unread(len(guess) - num_right)
        continuation.num_guessed += len(guess)
        continuation.num_accepted += num_right
        finish_late([continuation], deadline)
        yield
        if continuation.reason is not None:
            return
        # The token after a guess that is right to its end is one more.
        room = options.max_new_tokens - len(continuation.ids) - 1
        guess = lookup.guess(min(options.prompt_lookup, room))
        logits_TV = run.read([[continuation.ids[-1], *guess]])[0]
