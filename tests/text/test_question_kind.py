import pytest

from rag.text.question_kind import QUESTION_KINDS, kind_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who keeps the support rota?", "who"),
        ("To whom is it sent?", "who"),
        ("Whose idea was it?", "who"),
        ("When was the mill closed?", "when"),
        ("In what year did the war begin?", "when"),
        ("Which century was it built in?", "when"),
        ("Where was the company founded?", "where"),
        ("What city hosted the games?", "where"),
        ("How many days of leave are there?", "how many"),
        ("how old is the oldest tree", "how many"),
        ("What percentage of people left?", "how many"),
        ("Why did it close?", "why"),
        ("What was the reason for the delay?", "why"),
        ("How do I reset my password?", "how"),
        ("Which rule applies?", "which"),
        ("What is the threshold?", "what"),
        ("What's the codename?", "what"),
        ("The founder of the company was named what?", "what"),
        ("Is travel insured?", "yes or no"),
        ("Doesn't it expire?", "yes or no"),
        ("parental leave", "other"),
        ("", "other"),
    ],
)
def test_kind_is_told_by_the_word_that_asks(question: str, kind: str) -> None:
    assert kind in QUESTION_KINDS
    assert kind_of(question) == kind
