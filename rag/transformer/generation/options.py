"""How an answer is to be written: the options of ``generate`` and ``stream``."""

from dataclasses import dataclass
from typing import Literal, get_args

from rag.errors import InvalidInput

Strategy = Literal["greedy", "sample", "beam"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """Options of decoding.

    max_new_tokens: how many tokens to write at most, the end token counted.
    strategy: the likeliest token each time, a drawn one, or the best of several whole continuations.
    temperature: what logits are divided by before a token is drawn; below 1 bolder, above 1 more even.
    top_k: draw among this many likeliest tokens; 0 for all.
    top_p: draw among the fewest likeliest tokens that together are this probable (Holtzman et al., 2020).
    num_beams: how many continuations beam search pursues at a time.
    length_penalty: beam search divides a continuation's log-probability by its length to this power.
    stop: texts that end the answer and are not part of it.
    repetition_penalty: makes tokens written before less likely (Keskar et al., 2019); 1 for off.
    no_repeat_ngram: no run of this many tokens is written twice (Paulus et al., 2018); 0 for off.
    seed: of the draws; the same seed and prompt give the same answer, alone or in a batch.
    prompt_lookup: how many tokens to guess ahead from what the prompt says (Saxena, 2023); 0 for off. It changes the
        speed and nothing else.
    timeout_s: seconds after which what is written so far is returned; None for no limit.
    log_probabilities: whether to keep each token's log-probability, which costs a pass over the vocabulary.

    The two penalties look at what was written, not at the prompt: an answer that may not repeat its sources cannot
    quote them.

    Raises:
        InvalidInput: an option is out of its range, or two do not go together.
    """

    max_new_tokens: int = 256
    strategy: Strategy = "greedy"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    num_beams: int = 4
    length_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    seed: int = 0
    prompt_lookup: int = 0
    timeout_s: float | None = None
    log_probabilities: bool = True

    def __post_init__(self) -> None:
        # Written so that NaN fails too.
        rules = {
            "max_new_tokens must be at least 1": self.max_new_tokens >= 1,
            f"strategy must be one of {', '.join(get_args(Strategy))}": self.strategy in get_args(Strategy),
            "temperature must be above 0 (for the likeliest tokens use the strategy greedy)": self.temperature > 0,
            "top_k must be at least 0": self.top_k >= 0,
            "top_p must be above 0 and at most 1": 0 < self.top_p <= 1,
            "num_beams must be at least 1": self.num_beams >= 1,
            "length_penalty must be a number": self.length_penalty == self.length_penalty,
            "stop must be a tuple of texts that are not empty": isinstance(self.stop, tuple) and all(self.stop),
            "repetition_penalty must be above 0": self.repetition_penalty > 0,
            "no_repeat_ngram must be at least 0": self.no_repeat_ngram >= 0,
            "prompt_lookup must be at least 0": self.prompt_lookup >= 0,
            "prompt_lookup must be 0 with the strategy beam": self.strategy != "beam" or self.prompt_lookup == 0,
            "timeout_s must be above 0": self.timeout_s is None or self.timeout_s > 0,
        }
        for rule, holds in rules.items():
            if not holds:
                raise InvalidInput(f"{rule[0].upper()}{rule[1:]}.")

    @property
    def looks_back(self) -> bool:
        """Whether the choice of a token depends on the tokens written before it, beyond what the model says."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram > 0
