"""Placeholders: what is replaced, and where everything else has moved to."""

from hypothesis import given
from hypothesis import strategies as st

from rag.text.personal_data import KINDS
from rag.text.placeholders import Placeholders

ALL = Placeholders(kinds=frozenset(KINDS), phone_regions=("DE",))
WORDS = ["Ask", "jane@example.org", "or", "+49 30 23125 678", "today", "192.0.2.17", "é", "𝔘"]


def test_each_kind_has_its_placeholder() -> None:
    text = "jane@example.org +49 30 23125 678 4111 1111 1111 1111 DE89370400440532013000 192.0.2.17"
    assert ALL.put_into(text).text == "<EMAIL> <PHONE> <CARD> <IBAN> <IP>"
    assert ALL.put_into("nothing here").text == "nothing here"


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), st.data())
def test_characters_that_are_kept_are_found_again_at_their_new_place(words: list[str], data: st.DataObject) -> None:
    text = " | ".join(words)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    masked = ALL.put_into(text)
    pieces = list(masked.pieces(start, end))
    assert pieces[0][0] == start
    assert pieces[-1][1] == end
    assert all(one[1] == other[0] for one, other in zip(pieces, pieces[1:], strict=False))
    for from_start, from_end, to_start, to_end in pieces:
        before, after = text[from_start:from_end], masked.text[to_start:to_end]
        assert before == after or (after in ("<EMAIL>", "<PHONE>", "<IP>") and before in "".join(words))
    assert masked.moved(start, end) == (pieces[0][2], pieces[-1][3])


def test_named_fields_are_masked_where_documents_write_them_and_where_their_words_come_again() -> None:
    fields = Placeholders(fields=("customer name", "e.mail"))
    row = "order: 5; Customer Name: Jane Doe; city: Lund\ncontact.customer name: Al\nother customer name: B. C."
    values = fields.values_in(row)
    assert values == {"Jane Doe": "customer name", "Al": "customer name"} | {"Jane Doe": "Customer Name"}
    assert fields.put_into("Did jane doe call Alan?", values.items()).text == "Did <CUSTOMER_NAME> call Alan?"
    assert fields.values_in("The customer name: is it there?") == {}
