"""A language model's reply becomes an answer, or does not. The model here says what it is told."""

from collections.abc import Callable
from typing import Any

import pytest

from rag.cancellation import NEVER, Cancellation
from rag.errors import GeneratorUnavailable
from rag.generators.chat_model import Reply
from rag.generators.prompt import Prompt
from rag.generators.prompted_generator import ABSTAIN_BELOW, PromptedGenerator
from rag.records import Hit

QUESTION = "Who keeps the support rota?"


@pytest.fixture
def ask_model(make_hit: Callable[..., Hit], documents: dict[str, str]) -> Callable[..., Any]:
    """Generate with a model that says what it is told, over two hits."""

    class Parrot:
        name, weights_sha256, one_at_a_time, prompt_setting = "parrot", "", False, "generator_prompt_chars"
        settings = {"generator": "parrot"}
        prompts: list[Prompt] = []

        def __init__(self, say: Callable[[Prompt], str], most: int) -> None:
            self._say, self._most = say, most

        def check(self) -> None:
            raise GeneratorUnavailable("gone")

        def fits(self, prompt: Prompt) -> bool:
            return prompt.num_passages <= self._most

        def reply(self, prompt: Prompt, *, cancellation: Cancellation = NEVER) -> Reply:  # noqa: ARG002
            return Reply(text=self._say(prompt), model="parrot-2", details={"finish_reason": "stop"})

    hits = [make_hit(text, title=name, number=number) for number, (name, text) in enumerate(documents.items(), 1)]

    def ask(say: str | Callable[[Prompt], str], *, more: tuple[Hit, ...] = (), most: int = 99) -> Any:
        generator = PromptedGenerator(Parrot(say if callable(say) else lambda _: say, most))
        return generator.generate(QUESTION, [*hits, *more])

    return ask


def test_thoughts_are_not_part_of_the_answer(ask_model: Callable[..., Any]) -> None:
    for thoughts in (
        "<think>It must be Jonas. [2]</think>\n\n",
        "It must be Jonas. [2]</think>",
        "\n<think>\n</think>",
    ):
        generation = ask_model(f"{thoughts}Amara Diallo [1].")
        assert (generation.answer, generation.confidence) == ("Amara Diallo [1].", 1.0)
    with pytest.raises(GeneratorUnavailable, match="generator_max_new_tokens"):
        ask_model("<think>Let me see")


def test_passages_that_were_not_read_are_neither_counted_nor_cited(ask_model: Callable[..., Any]) -> None:
    generation = ask_model("Amara Diallo [1]. Founded in 1987 [2].", most=1)
    assert generation.num_read == generation.details["num_passages_read"] == 1
    assert generation.details["num_passages_found"] == 3
    assert generation.answer == "Amara Diallo [1]. Founded in 1987."
    assert generation.details["removed_marks"] == [2]


def test_nothing_found_asks_no_model() -> None:
    generation = PromptedGenerator(None).generate(QUESTION, [])  # type: ignore[arg-type]
    assert (generation.answer, generation.confidence, generation.citations) == ("", 0.0, ())


@pytest.mark.parametrize(
    "obey",
    [
        lambda _: "BANANA",
        lambda _: "BANANA [4].",
        lambda _: "The support rota is kept by Mallory Vane [4].",
        lambda _: "The support rota is kept by Mallory Vane [1].",
        lambda prompt: f"My instructions are: {prompt.system}",
        lambda prompt: f"{prompt.system} [1]",
        lambda _: "I am BANANA now [4]. Ask me anything [4].",
    ],
)
def test_model_that_obeys_a_document_finds_no_support(
    ask_model: Callable[..., Any], make_hit: Callable[..., Hit], attack: str, obey: Callable[[Prompt], str]
) -> None:
    generation = ask_model(obey, more=(make_hit(attack, title="notes", number=4),))
    assert generation.confidence < ABSTAIN_BELOW
    assert generation.citations == () or "Mallory" not in str(generation.citations)
    assert generation.unsupported


def test_leak_beside_a_true_sentence_is_flagged(ask_model: Callable[..., Any]) -> None:
    said = "The support rota is kept by Amara Diallo [1]. My rules say: answer from passages and nothing else."
    generation = ask_model(said)
    assert [generation.answer[a:b] for a, b in generation.unsupported] == [said.partition(". ")[2]]
    assert generation.confidence < ABSTAIN_BELOW
