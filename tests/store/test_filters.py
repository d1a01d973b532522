"""Filters: the same documents on both databases, and no value that becomes SQL."""

from collections.abc import Mapping
from typing import Any

import pytest

from rag.errors import InvalidInput, NotFound
from rag.records import Caller
from rag.store.documents import get_document, list_documents, update_metadata


def matching(library: Any, filters: Mapping[str, Any]) -> list[int]:
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
        list_documents(session, library.collection_id, filters=filters)


@pytest.fixture
def years(library: Any) -> dict[str, int]:
    """Documents by name: of three years, one of which is a text, and one of no year."""
    return {
        "old": library.add("old", metadata={"year": 2019, "reviewed": "2024-03-01"}, tags={"team": "ops"}),
        "middle": library.add("middle", metadata={"year": "2021", "reviewed": "2024-03-01T12:00:00+02:00"}),
        "new": library.add("new", metadata={"year": 2024.5}, tags={"team": "dev", "draft": "yes"}),
        "none": library.add("none", metadata={"year": None, "final": True}),
    }


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"year": 2019}, "old"),
        ({"year": 2019.0}, "old"),
        ({"year": 2021}, "middle"),
        ({"year": "2021"}, "middle"),
        ({"final": True}, "none"),
        ({"year": {"$gt": 2019}}, "middle new"),
        ({"year": {"$gte": 2019, "$lt": 2024.5}}, "old middle"),
        ({"year": {"$lte": "2021"}}, "old middle"),
        ({"reviewed": {"$gt": "2024-03-01"}}, "middle"),
        ({"reviewed": {"$lte": "2024-03-01T10:00:00Z"}}, "old middle"),
        ({"reviewed": {"$lt": "2024-02-29"}}, ""),
        ({"year": {"$in": [2019, "2021", "x"]}}, "old middle"),
        ({"year": {"$in": []}}, ""),
        ({"year": {"$nin": [2019, 2021]}}, "new none"),
        ({"year": {"$ne": 2019}}, "middle new none"),
        ({"year": {"$exists": True}}, "old middle new"),
        ({"year": {"$exists": False}}, "none"),
        ({"title": {"$exists": True}}, "old middle new none"),
        ({"source": {"$in": ["old", "new"]}}, "old new"),
        ({"version": {"$gte": 1}}, "old middle new none"),
        ({"version": 2}, ""),
        ({"created_at": {"$gt": "2020-01-01"}}, "old middle new none"),
        ({"updated_at": {"$lt": "2020-01-01"}}, ""),
        ({"tags": {"$any": ["team=ops", "draft"]}}, "old new"),
        ({"tags": {"$all": ["team=dev", "draft"]}}, "new"),
        ({"tags": {"$all": ["team=ops", "draft"]}}, ""),
        ({"tags": {"$any": ["final"]}}, ""),
        ({"$or": [{"team": "ops"}, {"year": {"$gt": 2024}}]}, "old new"),
        ({"$and": [{"team": "dev"}, {"draft": "yes"}]}, "new"),
        ({"$not": {"$or": [{"team": "ops"}, {"team": "dev"}]}}, "middle none"),
        ({"$not": {"team": "ops", "year": 2019}, "year": {"$exists": True}}, "middle new"),
    ],
)
def test_operators(library: Any, years: dict[str, int], filters: Mapping[str, Any], found: str) -> None:
    assert matching(library, filters) == [years[name] for name in found.split()]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"year": {"$gt": "soon"}}, "not a number or a date"),
        ({"year": {"$gt": True}}, "not a number or a date"),
        ({"created_at": {"$gt": 5}}, "not a date"),
        ({"version": "2024-01-01"}, "not a number"),
        ({"title": {"$gt": "A"}}, "knows no range"),
        ({"year": {"$about": 5}}, "'\\$about' of 'year' is not known"),
        ({"year": {}}, "names no operator"),
        ({"year": None}, "use \\$exists"),
        ({"year": [2019]}, "must be text, a number"),
        ({"year": {"$in": 2019}}, "takes a list"),
        ({"year": {"$exists": 1}}, "true or false"),
        ({"team": {"$any": ["ops"]}}, "is for tags"),
        ({"tags": {"$any": []}}, "takes a list of tags"),
        ({"$or": {"team": "ops"}}, "takes a list of filters"),
        ({"$or": []}, "is empty"),
        ({"$or": [{}]}, "is empty"),
        ({"$or": ["team"]}, "an object of names and values"),
        ({"$nor": [{"team": "ops"}]}, "\\$nor is not known"),
        ({"team": {"$in": ["x"] * 201}}, "more than 200 conditions"),
    ],
)
def test_malformed_filters_say_what_to_change(library: Any, filters: Mapping[str, Any], message: str) -> None:
    with library.database.read() as session, pytest.raises(InvalidInput, match=message):
        list_documents(session, library.collection_id, filters=filters)


def test_filter_nested_without_end_is_refused(library: Any) -> None:
    nested: dict[str, Any] = {"team": "ops"}
    for _ in range(5_000):
        nested = {"$not": nested}
    with library.database.read() as session, pytest.raises(InvalidInput, match="nested deeper"):
        list_documents(session, library.collection_id, filters=nested)


def test_long_value_is_found_by_all_of_it(library: Any) -> None:
    long = "word " * 2_000
    document_id = library.add("a", metadata={"k": long})
    library.add("b", metadata={"k": long + "more"})
    assert matching(library, {"k": long}) == [document_id]


def test_changed_tags_and_metadata_are_what_filters_see(library: Any) -> None:
    document_id = library.add("a", tags={"team": "ops"}, metadata={"year": 2019})
    with library.database.write() as session:
        update_metadata(session, document_id, tags={"team": "dev"})
    assert matching(library, {"team": "ops"}) == []
    assert matching(library, {"team": "dev", "year": 2019}) == [document_id]


def test_caller_sees_open_documents_and_those_of_a_label_they_hold(library: Any) -> None:
    everyone = library.add("open")
    hr = library.add("hr", access_labels=["hr"])
    both = library.add("both", access_labels=["sales", "hr"])

    def seen(*labels: str) -> list[int]:
        with library.database.read() as session:
            caller = Caller(access_labels=frozenset(labels))
            return [d.id for d in list_documents(session, library.collection_id, filters={}, caller=caller)]

    assert seen() == [everyone]
    assert seen("hr") == [everyone, hr, both]
    assert seen("sales", "' OR 1=1 --") == [everyone, both]
    assert matching(library, {}) == [everyone, hr, both]
    with library.database.read() as session:
        assert get_document(session, both).document.access_labels == ("hr", "sales")
        with pytest.raises(NotFound):
            get_document(session, hr, caller=Caller(access_labels=frozenset()))


@pytest.mark.parametrize("label", ["", " hr", "h\x00r"])
def test_impossible_labels_are_refused(library: Any, label: str) -> None:
    with pytest.raises(InvalidInput):
        library.add("a", access_labels=[label])
