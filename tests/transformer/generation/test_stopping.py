from hypothesis import given, settings
from hypothesis import strategies as st

from rag.transformer.generation.stopping import StopFinder


def passed_on(stops: tuple[str, ...], pieces: list[str]) -> tuple[list[str], bool]:
    finder, passed = StopFinder(stops), []
    for piece in pieces:
        passed.append(finder.push(piece))
        if finder.stopped:
            return passed, True
    return [*passed, finder.flush()], False


def test_beginning_of_a_stop_text_is_held_back_until_it_is_none() -> None:
    assert passed_on(("User:",), ["Ada.\nUs", "ual", " Use", "r: hi"]) == (["Ada.\n", "Usual", " ", ""], True)


def test_stop_text_that_overlaps_itself_is_found() -> None:
    assert passed_on(("aab",), ["a", "a", "a", "b"]) == (["", "", "a", ""], True)


def test_the_stop_text_that_begins_first_counts() -> None:
    assert passed_on(("b", "abc"), ["xabc"]) == (["x"], True)


def test_what_was_held_back_comes_when_nothing_follows() -> None:
    assert passed_on(("###",), ["a#", "#"]) == (["a", "", "##"], False)


TEXTS = st.text("ab#", max_size=12)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=8), st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3))
def test_passes_on_the_text_before_the_first_stop_text_and_no_more(pieces: list[str], stops: list[str]) -> None:
    passed, stopped = passed_on(tuple(stops), pieces)
    text = "".join(pieces)
    # The finder sees no further than the piece in which a stop text is complete.
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    assert stopped == bool(ends)
    if not ends:
        assert "".join(passed) == text
        return
    at = next(i for i in range(len(pieces)) if len("".join(pieces[: i + 1])) >= min(ends))
    seen = "".join(pieces[: at + 1])
    assert "".join(passed) == seen[: min(seen.find(stop) for stop in stops if stop in seen)]
