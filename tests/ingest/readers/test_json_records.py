"""Reading JSON and JSON Lines."""

import json
from collections.abc import Callable

import pytest

from rag.config import Settings
from rag.errors import LimitExceeded, UnreadableDocument
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import FieldNames
from rag.ingest.readers.registry import read_bytes
from rag.records import Document

ReadAll = Callable[..., list[Document]]


def test_an_array_gives_a_document_for_each_element(read: ReadAll) -> None:
    first, second = read('[{"id": 7, "title": "T", "text": "One."}, "Two."]', "faq_list.json")
    assert (first.source, first.file) == ("upload:faq_list.json#row=1", "upload:faq_list.json")
    assert (first.title, first.text, first.metadata) == ("T", "One.", {"id": 7, "title": "T"})
    assert (second.source, second.title, second.text) == ("upload:faq_list.json#row=2", "faq list, row 2", "Two.")
    assert first.media_type == "application/json"


def test_an_object_is_one_document(read: ReadAll) -> None:
    (document,) = read('{"body": "One."}', "a.json")
    assert (document.source, document.title, document.text) == ("upload:a.json", "a", "One.")


@pytest.mark.parametrize("field", ["text", "content", "body", "answer"])
@pytest.mark.parametrize("title_field", ["title", "name", "question", "id"])
def test_text_and_title_come_from_the_fields_that_usually_hold_them(
    read: ReadAll, field: str, title_field: str
) -> None:
    (document,) = read(json.dumps({title_field: "When?", field: "Now."}), "a.json")
    assert (document.title, document.text) == ("When?", "Now.")


def test_other_short_fields_are_metadata_and_the_rest_is_text(read: ReadAll) -> None:
    record = {
        "text": "One.",
        "year": 2024,
        "ok": True,
        "tags": ["a", "b"],
        "x": {"y": [1, {"z": "w"}]},
        "long": "v" * 501,
    }
    (document,) = read(json.dumps({**record, "nothing": None}), "a.json")
    assert document.metadata == {"year": 2024, "ok": True, "tags": "a, b"}
    assert document.text == f"One.\n\nx.y.1: 1\nx.y.2.z: w\nlong: {'v' * 501}"


def test_a_record_without_a_text_field_becomes_lines(read: ReadAll) -> None:
    (document,) = read(
        '{"key": "value", "n": 5, "on": true, "list": [1, "b", null], "d": {"e": "f"}, "no": null}', "a.json"
    )
    assert document.text == "key: value\nn: 5\non: true\nlist: 1, b\nd.e: f"


def test_an_empty_text_field_is_passed_over(read: ReadAll) -> None:
    assert read('{"text": " ", "body": "One."}', "a.json")[0].text == "One."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a": 1,\n "b" 2}', "Expecting ':' delimiter in line 2, column 6"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "Exceeds the limit"),
        ("[]", "empty list"),
        ("{}", "holds no text"),
        ("null", "holds no text"),
    ],
)
def test_what_is_not_json_or_holds_no_text_is_refused(read: ReadAll, content: str, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(content, "a.json")


def test_lone_surrogates_and_nul_in_json_strings_are_dropped(read: ReadAll) -> None:
    (document,) = read(r'{"text": "a\ud800\u0000b", "title": "\udc00T", "k\ud800": "v\u0000"}', "a.json")
    assert (document.text, document.title, document.metadata) == ("ab", "T", {"title": "T", "k": "v"})


def test_deep_nesting_within_the_parsers_limit_is_read(read: ReadAll) -> None:
    (document,) = read('{"k":' * 300 + '"end"' + "}" * 300, "a.json")
    assert document.text.endswith(": end")


@pytest.mark.parametrize("ending", ["jsonl", "ndjson"])
def test_each_line_is_a_document_numbered_by_its_line(read: ReadAll, ending: str) -> None:
    first, second = read('\ufeff{"text": "One."}\r\n\r\n{"text": "Two."}', f"a.{ending}")
    assert [first.source, second.source] == [f"upload:a.{ending}#row=1", f"upload:a.{ending}#row=3"]
    assert [first.text, second.text] == ["One.", "Two."]


def test_bad_lines_are_named_after_all_good_ones_were_read() -> None:
    data = b'{"text": "One."}\n{"text"\n\xff\n{}\n{"text": "Two."}\n'
    documents = read_bytes(data, name="a.jsonl", source="s", limits=limits_of(Settings()))
    assert [next(documents).text, next(documents).text] == ["One.", "Two."]
    with pytest.raises(
        UnreadableDocument, match=r"unreadable lines: 2, 3, 4 \(the first: .*\); the others were read\."
    ):
        next(documents)


def test_bad_elements_are_named_after_all_good_ones_were_read() -> None:
    documents = read_bytes(b'[null, "One.", {}]', name="a.json", source="s", limits=limits_of(Settings()))
    assert next(documents).text == "One."
    with pytest.raises(UnreadableDocument, match="unreadable elements: 1, 3 "):
        next(documents)


def test_only_the_first_of_many_bad_lines_are_named(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match=r"19, 20 and 80 more \(the first: .* in column 1\)\.$"):
        read("x\n" * 100, "a.jsonl")


def test_lines_are_read_one_at_a_time() -> None:
    data = b'{"text": "One."}\n' + b'{"text": "' + b"x" * 200 + b'"}\n'
    documents = read_bytes(data, name="a.jsonl", source="s", limits=limits_of(Settings(max_document_chars=100)))
    assert next(documents).text == "One."
    with pytest.raises(LimitExceeded, match="max_document_chars"):
        next(documents)


RECORDS = [
    {"key": "A/1", "headline": "First", "story": "One.", "text": "no", "year": 2024},
    {"key": "A 2", "headline": "Second"},
    {"key": "A/1", "headline": "Again", "story": "Three."},
    {"headline": "Nameless", "story": "Four."},
    "words",
    {"key": 5, "story": "Six."},
]
NAMED = FieldNames(text="story", title="headline", id="key")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_the_fields_for_text_title_and_id_can_be_named(name: str) -> None:
    content = json.dumps(RECORDS) if name == "a.json" else "\n".join(map(json.dumps, RECORDS))
    documents = read_bytes(content.encode(), name=name, source="s", limits=limits_of(Settings()), fields=NAMED)
    first, last = next(documents), next(documents)
    assert (first.source, first.file, first.title, first.text) == ("s#id=A/1", "s", "First", "One.")
    assert first.metadata == {"key": "A/1", "headline": "First", "text": "no", "year": 2024}
    assert (last.source, last.title, last.text) == ("s#id=5", "a, row 6", "Six.")
    with pytest.raises(UnreadableDocument) as caught:
        next(documents)
    unit = "elements" if name == "a.json" else "lines"
    assert f"unreadable {unit}: 2, 3, 4, 5 (the first: it has no text in the field 'story')" in str(caught.value)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"key": 1}, "it has no text in the field 'story'"),
        ({"key": 1, "story": " "}, "it has no text in the field 'story'"),
        ({"story": "x"}, "it has no id in the field 'key'"),
        (["x"], "it has no id in the field 'key'"),
    ],
)
def test_an_object_without_a_named_field_is_refused(read: ReadAll, record: object, reason: str) -> None:
    content = json.dumps(record) if isinstance(record, dict) else json.dumps("x")
    with pytest.raises(UnreadableDocument, match=reason):
        read(content, "a.json", fields=NAMED)


def test_damage_of_a_file_is_told_once(read: ReadAll) -> None:
    content = json.dumps(["naïve café"] * 30, ensure_ascii=False).encode()
    damaged = content[:-2] + b"\xff" + content[-2:]
    losses = [document.losses for document in read(damaged, "a.json")]
    assert losses == [("1 place could not be decoded as utf-8 and now read U+FFFD.",)] + [()] * 29
