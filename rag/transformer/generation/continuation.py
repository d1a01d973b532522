"""One prompt's answer while it is written, and when it is done."""

import random
from dataclasses import dataclass
from typing import Literal

from rag.transformer.generation.options import GenerationOptions
from rag.transformer.generation.stopping import StopFinder
from rag.transformer.generation.streaming import IncrementalDecoder, whole_characters
from rag.transformer.tokenization import TextTokenizer

Reason = Literal["end", "stop", "length", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What a model wrote after a prompt.

    ids: all tokens, the end token and those of a stop text too.
    text: what they say, without these, and without a character left half written.
    reason: why it ends: an end token, a stop text, ``max_new_tokens`` or ``timeout_s``.
    log_probabilities: of each token under the model's own distribution, before temperature and penalties; None if not
        asked for.
    num_guessed, num_accepted: tokens guessed ahead by prompt lookup, and those of them that were right.
    """

    ids: tuple[int, ...]
    text: str
    reason: Reason
    log_probabilities: tuple[float, ...] | None = None
    num_guessed: int = 0
    num_accepted: int = 0

    @property
    def log_probability(self) -> float | None:
        """Of all tokens together; None if not asked for."""
        return None if self.log_probabilities is None else sum(self.log_probabilities)


class Continuation:
    """What is written after one prompt, token by token, until there is a ``reason`` to end.

    With ``streamed``, ``take_text`` gives text as soon as it is certain.
    """

    def __init__(
        self, tokenizer: TextTokenizer, options: GenerationOptions, *, seed: int | None = None, streamed: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._decoder = IncrementalDecoder(tokenizer) if streamed or options.stop else None
        self._finder = StopFinder(options.stop)
        self._text = ""
        self._num_taken = 0
        self.random = random.Random(options.seed if seed is None else seed)
        self.ids: list[int] = []
        self.log_probabilities: list[float] = []
        self.reason: Reason | None = None
        self.num_guessed = 0
        self.num_accepted = 0

    def push(self, token_id: int, log_probability: float | None = None) -> None:
        """Write a token."""
        self.ids.append(token_id)
        if log_probability is not None:
            self.log_probabilities.append(log_probability)
        if token_id in self._tokenizer.end_ids:
            self.finish("end")
            return
        if self._decoder is not None:
            self._text += self._finder.push(self._decoder.push(token_id))
        if self._finder.stopped:
            self.finish("stop")
        elif len(self.ids) >= self._options.max_new_tokens:
            self.finish("length")

    def finish(self, reason: Reason) -> None:
        """Write no more."""
        self.reason = reason
        self._text += self._finder.flush()

    def take_text(self) -> str:
        """The text that has become certain since the last call."""
        text = self._text[self._num_taken :]
        self._num_taken = len(self._text)
        return text

    def result(self) -> Generated:
        """The answer. ``finish`` must have been called."""
        assert self.reason is not None
        # An end token need not be one that decoding leaves out.
        said = self.ids[:-1] if self.reason == "end" else self.ids
        text = self._text if self._decoder is not None else whole_characters(self._tokenizer.decode(said))
        return Generated(
            ids=tuple(self.ids),
            text=text,
            reason=self.reason,
            log_probabilities=tuple(self.log_probabilities) if self._options.log_probabilities else None,
            num_guessed=self.num_guessed,
            num_accepted=self.num_accepted,
        )
