"""Beam search: the best of several whole continuations of each prompt (Sutskever et al., 2014, section 3.2).

Longer continuations are less likely; dividing by a power of the length evens that out (Wu et al., 2016, section 7, with
a simpler divisor).

Shapes: B prompts being continued, K beams of each, V vocabulary, N candidates of each prompt for its next beams.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rag.transformer.generation.continuation import Continuation, Generated
from rag.transformer.generation.logits import apply_penalties, require_numbers
from rag.transformer.generation.model_run import ModelRun
from rag.transformer.generation.options import GenerationOptions
from rag.transformer.tokenization import TextTokenizer


@dataclass(frozen=True, slots=True)
class Beam:
    """A continuation: its tokens, their log-probabilities, and the sum of these after penalties."""

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    total: float


class PromptSearch:
    """The search for one prompt's continuation: the beams pursued, and the best of those that came to an end."""

    def __init__(self, tokenizer: TextTokenizer, options: GenerationOptions) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._ended: list[tuple[float, Beam]] = []
        self.beams = [Beam((), (), 0.0)]
        self.done = False

    def advance(self, candidates: Sequence[tuple[int, Beam]]) -> list[int]:
        """Go on with the best of ``candidates``, which come best first, each with the place of the beam it continues.

        Returns these places. There are always ``num_beams``: where candidates are too few, the last stands for them,
        with a total that nothing comes of.
        """
        num_beams = self._options.num_beams
        going: list[tuple[int, Beam]] = []
        for rank, (place, beam) in enumerate(candidates):
            if not self._ends(beam):
                going.append((place, beam))
            elif rank < num_beams:
                # An end among the lower candidates would be worse than continuations that are still being pursued.
                self._ended.append((self._value(beam), beam))
        self._ended = sorted(self._ended, key=lambda ended: -ended[0])[:num_beams]
        going = going[:num_beams]
        self.done = not going or self._cannot_improve(going[0][1])
        if self.done:
            return []
        place, last = going[-1]
        going += [(place, Beam(last.ids, last.log_probabilities, -torch.inf))] * (num_beams - len(going))
        self.beams = [beam for _, beam in going]
        return [place for place, _ in going]

    def result(self) -> Generated:
        """The best continuation that came to an end; after a timeout without any, the best so far."""
        best = self._ended[0][1] if self._ended else self.beams[0]
        continuation = Continuation(self._tokenizer, self._options)
        for token_id, log_probability in zip(best.ids, best.log_probabilities, strict=True):
            continuation.push(token_id, log_probability)
            if continuation.reason is not None:
                break
        else:
            continuation.finish("timeout")
        return continuation.result()

    def _ends(self, beam: Beam) -> bool:
        if beam.ids[-1] in self._tokenizer.end_ids or len(beam.ids) == self._options.max_new_tokens:
            return True
        if not self._options.stop:
            return False
        text = self._tokenizer.decode(beam.ids)
        return any(stop in text for stop in self._options.stop)

    def _value(self, beam: Beam) -> float:
        value: float = beam.total / len(beam.ids) ** self._options.length_penalty
        return value

    def _cannot_improve(self, best: Beam) -> bool:
        """Whether even the best beam, as long as it is now, is worse than all the ends that are kept."""
        return len(self._ended) == self._options.num_beams and self._value(best) <= self._ended[-1][0]


@torch.inference_mode()
def search(run: ModelRun, num_prompts: int, tokenizer: TextTokenizer, options: GenerationOptions) -> list[Generated]:
    """The best continuation of each of the run's prompts. Prompts whose search is over leave the batch."""
    deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    searches = [PromptSearch(tokenizer, options) for _ in range(num_prompts)]
    # A beam can end with any of the end tokens, and num_beams others must be left to go on with.
    num_candidates = options.num_beams * (1 + max(1, len(tokenizer.end_ids)))
    live = searches
    logits = run.read_prompts()
    while True:
        candidates = _candidates(logits, [one.beams for one in live], num_candidates, options)
        rows, start = [], 0
        for one, its_candidates in zip(live, candidates, strict=True):
            num_before = len(one.beams)
            rows += [start + place for place in one.advance(its_candidates)]
            start += num_before
        live = [one for one in live if not one.done]
        if not live or (deadline is not None and time.monotonic() >= deadline):
            return [one.result() for one in searches]
        run.select(rows)
        logits = run.read([[beam.ids[-1]] for one in live for beam in one.beams])[:, -1]


def _candidates(
    logits: Tensor, beams: Sequence[Sequence[Beam]], num_candidates: int, options: GenerationOptions
) -> list[list[tuple[int, Beam]]]:
    """For each prompt the best ways to make one of its beams a token longer, best first, with the place of that beam.

    ``logits`` is (B * K, V), in the order of ``beams``.
    """
    flat = [beam for its_beams in beams for beam in its_beams]
    plain = logits.log_softmax(-1)
    scores = apply_penalties(plain, [beam.ids for beam in flat], options)
    totals = scores + torch.tensor([[beam.total] for beam in flat], device=logits.device)
    B, V = len(beams), logits.shape[-1]
    totals_BC = totals.view(B, -1)
    best_BN = totals_BC.topk(min(num_candidates, totals_BC.shape[1]))
    require_numbers(best_BN.values[:, 0])
    plain_BN = plain.view(B, -1).gather(1, best_BN.indices)
    found = []
    for its_beams, *columns in zip(
        beams, best_BN.values.tolist(), best_BN.indices.tolist(), plain_BN.tolist(), strict=True
    ):
        candidates = []
        for total, index, log_probability in zip(*columns, strict=True):
            place, token_id = divmod(index, V)
            beam = its_beams[place]
            if total > -torch.inf:
                longer = Beam((*beam.ids, token_id), (*beam.log_probabilities, log_probability), total)
                candidates.append((place, longer))
        found.append(candidates)
    return found
