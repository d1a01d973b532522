"""Follow-ups: what they are understood as, and what must stay as it is."""

import json
from pathlib import Path

import pytest

from rag.records import Turn
from rag.text.follow_up import standalone_form
from rag.text.question_parts import Question
from rag.text.referents import short_answer

DATA = json.loads((Path(__file__).parents[2] / "benchmarks/follow_up.json").read_text(encoding="utf-8"))
CONVERSATIONS = [*DATA["conversations"], *DATA["held_out"]]
BRIDGE = Turn("When was the Bergen bridge built?", "1931")
FOUNDER = Turn("Who founded the company?", "Maria Costa")
OFFICE = Turn("When does the office in Oslo open?", "at eight o'clock")
MACHINE = Turn("Which machine has 512 GB?", "heron")
LEAVE = Turn("How many days of leave does every employee have?", "28")
HEIGHT = Turn("What is the height of the bridge in Oslo?", "90 m")


def _form(question: str, *turns: Turn) -> str | None:
    return standalone_form(question, turns, max_chars=2_000)


@pytest.mark.parametrize(
    ("turn", "question", "form"),
    [
        (BRIDGE, "and who paid for it?", "Who paid for the Bergen bridge?"),
        (BRIDGE, "How long is it?", "How long is the Bergen bridge?"),
        (BRIDGE, "and in Oslo?", "When was the Oslo bridge built?"),
        (FOUNDER, "when was that?", "When was it that Maria Costa founded the company?"),
        (FOUNDER, "and why?", "Why was it that Maria Costa founded the company?"),
        (FOUNDER, "Where was she born?", "Where was Maria Costa born?"),
        (FOUNDER, "what is her title", "What is Maria Costa's title?"),
        (FOUNDER, "When did it move to Porto?", "When did the company move to Porto?"),
        (FOUNDER, "and who paid?", "Who paid: Maria Costa founded the company?"),
        (OFFICE, "what about Bergen?", "When does the office in Bergen open?"),
        (OFFICE, "and the Bergen office?", "When does the Bergen office open?"),
        (OFFICE, "Bergen?", "When does the office in Bergen open?"),
        (OFFICE, "who works there?", "Who works in the office in Oslo?"),
        (MACHINE, "Where is it?", "Where is the machine heron?"),
        (MACHINE, "who maintains that machine?", "Who maintains the machine heron?"),
        (MACHINE, "and 256 GB?", "Which machine has 256 GB?"),
        (LEAVE, "who approves it?", "Who approves leave?"),
        (LEAVE, "what about contractors?", "How many days of leave does contractors have?"),
        (HEIGHT, "and the length?", "What is the length of the bridge in Oslo?"),
        (HEIGHT, "who built it?", "Who built the bridge in Oslo?"),
        (Turn("When was Acme Corp founded?", "in 1987"), "what happened in that year?", "What happened in 1987?"),
        (Turn("Where was the company founded?", "Lisbon"), "Is it still there?", "Is the company still in Lisbon?"),
        (Turn("Who leads Acme Corp?", ""), "And since when?", "Since when was it that leads Acme Corp?"),
    ],
)
def test_follow_up_is_understood_by_the_turn_before(turn: Turn, question: str, form: str) -> None:
    assert _form(question, turn) == form


@pytest.mark.parametrize(
    "question",
    [
        "Who keeps the support rota?",
        "And who keeps the support rota?",
        "How long does it take to get a visa?",
        "Is it possible to park behind the office?",
        "Is it true that hotels may cost more in London?",
        "What time is it when the canteen opens?",
        "Which employees must take their leave in summer?",
        "Who approves leave when an employee exceeds their allowance?",
        "Which engineer sells his patents?",
        "Who said that the bridge was unsafe?",
        "What is the rule that applies to contractors?",
        "Are there parking spaces behind the office?",
        "How many people live in Porto this year?",
        "When did Maria Costa sell her shares?",
        "Which of the machines has its own power supply?",
        "opening hours Lisbon office",
        "travel expenses deadline",
        "Tell me about parental leave.",
        "What surrounds chloroplasts?",
        "What do those who travel by car get?",
    ],
)
@pytest.mark.parametrize("turn", [BRIDGE, FOUNDER, OFFICE, LEAVE])
def test_question_that_stands_by_itself_is_never_changed(turn: Turn, question: str) -> None:
    assert _form(question, turn) is None


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one["question"])
def test_conversations_keep_or_name_their_topic(conversation: dict) -> None:
    form = _form(conversation["question"], *(Turn(*turn) for turn in conversation["turns"]))
    if conversation["question"] == conversation["standalone"]:
        assert form is None
    elif form is not None:
        # Whatever the rules do, they lose nothing of what was asked but the words that pointed elsewhere.
        kept = {word.lower for word in Question(conversation["question"]).content}
        assert kept <= {word.lower for word in Question(form).words}


def test_most_conversations_come_out_as_a_person_would_put_them() -> None:
    forms = [
        _form(one["question"], *(Turn(*turn) for turn in one["turns"])) or one["question"] for one in CONVERSATIONS
    ]
    same = sum(form == one["standalone"] for form, one in zip(forms, CONVERSATIONS, strict=True))
    assert len(CONVERSATIONS) == 90
    assert same >= 55


def test_referent_is_looked_for_further_back_when_the_last_turn_has_none() -> None:
    turns = [FOUNDER, Turn("How many days of leave are there?", "28")]
    assert _form("Where was she born?", *turns) == "Where was Maria Costa born?"


def test_last_of_two_possible_referents_is_meant() -> None:
    turns = [FOUNDER, Turn("Who keeps the rota?", "Amara Diallo")]
    assert _form("Where does she sit?", *turns) == "Where does Amara Diallo sit?"


def test_nothing_before_leaves_the_question_alone() -> None:
    assert _form("And who paid for it?") is None
    assert _form("   ", BRIDGE) is None
    assert _form("??", BRIDGE) is None


def test_form_that_would_be_too_long_is_not_taken() -> None:
    assert standalone_form("And who paid for it?", [BRIDGE], max_chars=20) is None


def test_sentence_as_an_answer_gives_the_name_in_it() -> None:
    said = "The support rota is at present kept by Amara Diallo, who sits in the second room [1]."
    assert short_answer(said) == "Amara Diallo"
    assert _form("Where is she?", Turn("Who keeps the rota?", said)) == "Where is Amara Diallo?"


@pytest.mark.parametrize(
    "question", ["", "?", "and", "And?", "it", "that that that", "what about", "ſt.", "🦩?" * 50, "a" * 3000]
)
def test_odd_questions_do_no_harm(question: str) -> None:
    form = _form(question, BRIDGE, Turn("?", ""), Turn("", "x"))
    assert form is None or form.endswith("?")
