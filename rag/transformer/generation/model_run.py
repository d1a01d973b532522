"""What decoding needs of a model, and a model at work on a batch of prompts.

Shapes: N rows, T tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rag.errors import InvalidInput, LimitExceeded


class Cache(Protocol):
    """A model's memory of the tokens it has read; rows are padded on the left to one length."""

    length: int

    def truncate(self, length: int) -> None:
        """Forget the positions from ``length`` on."""

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be taken several times."""


class Sizes(Protocol):
    """The sizes of a model that decoding must know."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""

    @property
    def max_positions(self) -> int:
        """How many tokens a row may have."""


class DecodableModel(Protocol):
    """A causal language model, such as ``LanguageModel``."""

    training: bool

    @property
    def config(self) -> Sizes:
        """The model's sizes."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights; the first one's device gets the tokens."""

    def new_cache(self, batch_size: int, capacity: int) -> Cache:
        """An empty cache."""

    def __call__(self, ids_BT: Tensor, *, valid_BT: Tensor | None, cache: Any, last: int) -> Tensor:
        """float32 logits (B, last, V) of what follows each of the last tokens. All tokens join the cache."""


class ModelRun:
    """A model at work on N rows of tokens, all of which it has read so far.

    Raises:
        InvalidInput: a prompt is empty or holds ids that the model does not know.
        LimitExceeded: prompt and answer together have more tokens than the model has positions.
        ValueError: the model is in training mode, where dropout would spoil what it writes.
    """

    def __init__(
        self, model: DecodableModel, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, pad_id: int
    ) -> None:
        if model.training:
            raise ValueError("the model is in training mode: call its eval() first")
        for prompt in prompts:
            _check_prompt(prompt, model.config, max_new_tokens)
        self._model = model
        self._prompts = prompts
        self._pad_id = pad_id
        self.device = next(model.parameters()).device
        # The last token written is never read.
        self._cache = model.new_cache(len(prompts), max(len(prompt) for prompt in prompts) + max_new_tokens - 1)

    def read_prompts(self) -> Tensor:
        """Read all prompts; logits (N, V) of what follows each."""
        T = max(len(prompt) for prompt in self._prompts)
        ids_NT = torch.tensor([[self._pad_id] * (T - len(prompt)) + list(prompt) for prompt in self._prompts])
        length_N1 = torch.tensor([[len(prompt)] for prompt in self._prompts])
        valid_NT = torch.arange(T) >= T - length_N1
        padded = bool((length_N1 < T).any())
        return self._forward(ids_NT, valid_NT if padded else None, last=1)[:, 0]

    def read(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Read T more tokens in each row; logits (N, T, V) of what follows each."""
        return self._forward(torch.tensor(ids), None, last=len(ids[0]))

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be taken several times."""
        self._cache.select(torch.tensor(rows, device=self.device))

    def unread(self, num_tokens: int) -> None:
        """Forget the last ``num_tokens`` of each row."""
        if num_tokens:
            self._cache.truncate(self._cache.length - num_tokens)

    def _forward(self, ids_NT: Tensor, valid_NT: Tensor | None, *, last: int) -> Tensor:
        valid_NT = valid_NT if valid_NT is None else valid_NT.to(self.device)
        return self._model(ids_NT.to(self.device), valid_BT=valid_NT, cache=self._cache, last=last)


def _check_prompt(prompt: Sequence[int], sizes: Sizes, max_new_tokens: int) -> None:
    if not prompt:
        raise InvalidInput("A prompt needs at least one token; an empty text can begin with the start token.")
    if not 0 <= min(prompt) <= max(prompt) < sizes.vocabulary:
        raise InvalidInput(
            f"A prompt holds token {max(prompt)}, but the model knows {sizes.vocabulary}: is the tokenizer another's?"
        )
    if len(prompt) + max_new_tokens > sizes.max_positions:
        raise LimitExceeded(
            f"A prompt of {len(prompt)} tokens with {max_new_tokens} new ones exceeds the model's "
            f"{sizes.max_positions} positions: shorten the prompt or lower max_new_tokens.",
            setting="max_new_tokens",
        )
