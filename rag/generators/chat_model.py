"""What a language model must be able to do to write answers, wherever it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rag.cancellation import NEVER, Cancellation
from rag.generators.prompt import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model said. ``model`` is the name that it reported with it; ``details`` is what is worth logging."""

    text: str
    model: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a model is asked, wherever it runs. The names are those of the settings, without ``generator_``."""

    timeout_s: float = 120.0
    max_new_tokens: int = 512
    prompt_chars: int = 16_000
    temperature: float = 0.0
    seed: int = 0

    @property
    def logged(self) -> dict[str, object]:
        """What of them shapes a reply, under the settings' own names."""
        return {
            "generator_max_new_tokens": self.max_new_tokens,
            "generator_prompt_chars": self.prompt_chars,
            "generator_temperature": self.temperature,
            "generator_seed": self.seed,
        }


class ChatModel(Protocol):
    """A language model that follows instructions."""

    @property
    def name(self) -> str:
        """Name, as logged where a reply reports none."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights; empty where they are out of sight."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What its replies depend on, as logged. Never a secret."""

    @property
    def one_at_a_time(self) -> bool:
        """Whether questions should queue for it."""

    @property
    def prompt_setting(self) -> str:
        """The setting that limits its prompt."""

    def fits(self, prompt: Prompt) -> bool:
        """Whether it can read this prompt and has room to answer."""

    def check(self) -> None:
        """Raises GeneratorUnavailable where it could not reply now."""

    def reply(self, prompt: Prompt, *, cancellation: Cancellation = NEVER) -> Reply:
        """Reply to a prompt; raises GeneratorUnavailable where none comes, or not in time, Cancelled if not wanted."""
