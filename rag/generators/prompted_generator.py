"""A language model as a generator: prompt, reply, and a check of every sentence against the passages."""

from collections.abc import Mapping, Sequence

from rag.cancellation import NEVER, Cancellation
from rag.errors import GeneratorUnavailable
from rag.generators.chat_model import ChatModel
from rag.generators.generator import Generation
from rag.generators.grounding import GROUNDING_VERSION, ground
from rag.generators.prompt import PROMPT_VERSION, fit_prompt
from rag.records import Hit
from rag.text.clean import clean_text

ABSTAIN_BELOW = 0.75
"""An answer of which more than a quarter is not supported is withheld. A choice, not a calibration."""

_THINKING, _THOUGHT = "<think>", "</think>"


class PromptedGenerator:
    """Adapts a ``ChatModel`` to the ``Generator`` protocol. It judges no relevance, and its confidence is support."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the model's weights; empty where they are out of sight."""
        return self._model.weights_sha256

    @property
    def abstain_below(self) -> float:
        """The least support of an answer that is given."""
        return ABSTAIN_BELOW

    @property
    def settings(self) -> Mapping[str, object]:
        """The model's settings, and the versions of prompt and check."""
        return {**self._model.settings, "prompt_version": PROMPT_VERSION, "grounding_version": GROUNDING_VERSION}

    @property
    def one_at_a_time(self) -> bool:
        """As the model says."""
        return self._model.one_at_a_time

    def check(self) -> None:
        """See whether the model could reply."""
        self._model.check()

    def generate(self, question: str, hits: Sequence[Hit], *, cancellation: Cancellation = NEVER) -> Generation:
        """Ask the model, and cite what it says as far as the passages say so.

        Raises:
            Cancelled: the answer is not wanted any more.
            GeneratorUnavailable: the model does not reply, not in time, or with nothing but thoughts.
            LimitExceeded: the first passage alone is too long for the prompt.
        """
        if not hits:
            return Generation(answer="", citations=(), confidence=0.0, confidence_kind="support")
        prompt = fit_prompt(question, hits, fits=self._model.fits, setting=self._model.prompt_setting)
        read = hits[: prompt.num_passages]
        reply = self._model.reply(prompt, cancellation=cancellation)
        grounded = ground(clean_text(_without_thoughts(reply.text)), question, read)
        return Generation(
            answer=grounded.answer,
            citations=grounded.citations,
            confidence=grounded.support,
            faithfulness=grounded.support if grounded.answer else None,
            confidence_kind="support",
            spans=grounded.spans,
            unsupported=grounded.unsupported,
            num_read=len(read),
            model=reply.model,
            details={
                **reply.details,
                "num_passages_found": len(hits),
                "num_passages_read": len(read),
                "declined": grounded.declined,
                "removed_marks": list(grounded.removed_marks),
            },
        )


def _without_thoughts(reply: str) -> str:
    """The reply without the thinking aloud that some models put in front of it."""
    _, ended, answer = reply.rpartition(_THOUGHT)
    if not ended and answer.lstrip().startswith(_THINKING):
        raise GeneratorUnavailable(
            "The model thought aloud until its tokens were used up, and said nothing; raise generator_max_new_tokens."
        )
    return answer
