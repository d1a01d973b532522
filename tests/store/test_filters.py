"""Filters: the same documents on both databases, and no value that becomes SQL."""

from collections.abc import Mapping
from typing import Any

import pytest

from rag.errors import InvalidInput
from rag.store.documents import list_documents
from rag.store.passages import passage_ids_matching


def matching(library: Any, filters: Mapping[str, str]) -> list[int]:
    with library.database.read() as session:
        return [stored.id for stored in list_documents(session, library.collection_id, filters=filters)]


@pytest.mark.parametrize(
    ("metadata", "value"),
    [
        ("words", "words"),
        ("Zoë \N{GRINNING FACE}", "Zoë \N{GRINNING FACE}"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (-(2**62), str(-(2**62))),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (1e20, "1e+20"),
        (1e-7, "1e-07"),
        (0.1 + 0.2, "0.30000000000000004"),
        ("", ""),
        ("5", "5"),
        ("true", "true"),
        ('it\'s "quoted" \\ %_', 'it\'s "quoted" \\ %_'),
    ],
)
def test_metadata_is_compared_as_text(library: Any, metadata: str | float | bool, value: str) -> None:
    document_id = library.add("a", metadata={"k": metadata})
    library.add("b", metadata={"k": "else"})
    library.add("c")
    assert matching(library, {"k": value}) == [document_id]


@pytest.mark.parametrize("value", ["null", "None", ""])
def test_null_matches_nothing(library: Any, value: str) -> None:
    library.add("a", metadata={"k": None})
    assert matching(library, {"k": value}) == []


@pytest.mark.parametrize(
    "name", ["team", "team.lead", 'say "hi"', "$", "$.k", "#-1", "0", "[0]", "naïve", "it's", "a\\b", "a b", ":x", "%s"]
)
def test_any_name_is_only_a_name(library: Any, name: str) -> None:
    tagged, described = library.add("a", tags={name: "v"}), library.add("b", metadata={name: "v"})
    library.add("c", tags={"other": "v"}, metadata={"k": {"team": "v"}})
    assert matching(library, {name: "v"}) == [tagged, described]
    assert matching(library, {name: "w"}) == []


@pytest.mark.parametrize(
    "value",
    [
        "' OR '1'='1",
        "'; DROP TABLE documents; --",
        "x' UNION SELECT 1 --",
        "%",
        "\\' OR 1=1 --",
        ":value",
        "%(value)s",
        "$1",
    ],
)
@pytest.mark.parametrize("as_name", [False, True])
def test_sql_in_a_filter_is_only_text(library: Any, value: str, as_name: bool) -> None:
    library.add("a", tags={"team": "sales"})
    assert matching(library, {value: "sales"} if as_name else {"team": value}) == []
    for column in ("source", "title"):
        assert matching(library, {column: value}) == []
    assert len(matching(library, {})) == 1


def test_columns_of_the_document_go_before_tags(library: Any) -> None:
    first = library.add("a", title="Handbook", file="f", tags={"title": "Tag"}, origin="synthetic")
    second = library.add("b", tags={"source": "a"})
    assert matching(library, {"source": "a"}) == [first]
    assert matching(library, {"title": "Handbook"}) == [first]
    assert matching(library, {"title": "Tag"}) == []
    assert matching(library, {"file": "f"}) == [first]
    assert matching(library, {"origin": "real"}) == [second]
    assert matching(library, {"media_type": "text/plain"}) == [first, second]


def test_all_filters_must_hold(library: Any) -> None:
    both = library.add("a", tags={"team": "sales"}, metadata={"year": 2024})
    library.add("b", tags={"team": "sales"}, metadata={"year": 2023})
    assert matching(library, {"team": "sales", "year": "2024"}) == [both]


@pytest.mark.parametrize("filters", [{"": "value"}, {"name\x00": "value"}, {"name": "\ud800"}, {"title": "\x00"}])
def test_impossible_filters_are_refused(library: Any, filters: Mapping[str, str]) -> None:
    with library.database.read() as session, pytest.raises(InvalidInput):
        passage_ids_matching(session, library.collection_id, filters)
