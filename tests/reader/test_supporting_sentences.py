import pytest

from rag.reader.supporting_sentences import supporting_sentences, wants_sentences

TEXT = (
    "The bridge was closed in May. Dr. Lind had found cracks in two pillars, so lorries could no longer cross. "
    "It opened again in 1998.\n\n- Toll: none\n- Length: 300 m"
)


def _around(quote: str) -> str:
    start = TEXT.index(quote)
    a, b = supporting_sentences(TEXT, start, start + len(quote))
    return TEXT[a:b]


@pytest.mark.parametrize(
    "question",
    [
        "Why was the bridge closed?",
        "why close it",
        "For what reason was it closed?",
        "What was the reason for closing it?",
        "How come it was closed?",
    ],
)
def test_a_reason_is_always_given_in_whole_sentences(question: str) -> None:
    assert wants_sentences(question, "cracks")


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("How did the bridge come to be closed?", "found cracks in two pillars, so", True),
        ("How do I reset it?", "hold the button for ten seconds", True),
        ("How did he travel?", "by train", False),
        ("How many cracks were found in how many pillars?", "a large number of them in two pillars", False),
        ("How old is the bridge?", "about as old as the town itself", False),
        ("When was it closed?", "in May of the year after that", False),
        ("Who wrote 'The Whyte House'?", "Ann", False),
    ],
)
def test_only_a_torn_clause_grows_for_how(question: str, answer: str, expected: bool) -> None:
    assert wants_sentences(question, answer) is expected


def test_a_fragment_grows_to_its_sentence() -> None:
    assert _around("cracks in two") == "Dr. Lind had found cracks in two pillars, so lorries could no longer cross."


def test_a_fragment_across_two_sentences_grows_to_both() -> None:
    assert _around("May. Dr. Lind").startswith("The bridge was closed in May.")
    assert _around("May. Dr. Lind").endswith("cross.")


def test_list_items_and_blank_lines_are_borders() -> None:
    assert _around("none") == "- Toll: none"
    assert _around("1998") == "It opened again in 1998."


def test_whole_sentences_stay_as_they_are() -> None:
    assert _around("It opened again in 1998.") == "It opened again in 1998."
