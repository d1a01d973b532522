"""Documents as JSON Lines: what comes out goes in again, and what is wrong is refused line by line."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput
from rag.ingest import document_lines
from rag.ingest.document_lines import read_lines, to_line
from rag.ingest.file_options import FileOptions
from rag.ingest.labels import LabelledDocument, Labels
from rag.ingest.report import IngestionReport
from rag.records import Document, Section
from rag.store.collections import get_collection
from rag.store.document_texts import iter_current_documents
from rag.store.documents import find_by_source, get_document, list_documents
from rag.store.index_changes import last_change_id
from rag.text.clean import normalized_sha256

TIMES = ("created_at", "updated_at")
WHALES = "Whales are mammals. They breathe air."


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Rag:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path) -> Rag:
    """The same on SQLite only, for what does not depend on the database."""
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def line() -> dict[str, Any]:
    """A line that can be taken."""
    return {
        "source": "file:///docs/whales.txt",
        "file": "file:///docs/whales.txt",
        "title": "Whales",
        "media_type": "text/plain",
        "text": WHALES,
        "sections": [{"start": 0, "end": len(WHALES), "headings": ["Whales"], "page": 2, "row": None}],
        "metadata": {"pages": 3, "price": 1.0, "draft": True, "author": "Zoë 🦩", "none": None},
        "tags": {"team": "sea"},
        "origin": "synthetic",
        "version": 4,
        "text_sha256": normalized_sha256(WHALES),
        "file_sha256": "abc",
    }


def _export(service: Rag, collection: str = "default", **filters: str) -> list[bytes]:
    with service.database.read() as session:
        found = get_collection(session, collection)
        return [to_line(current) for current in iter_current_documents(session, found.id, filters=filters)]


def _import(service: Rag, lines: list[bytes], collection: str = "default") -> IngestionReport:
    return service.import_documents(io.BytesIO(b"".join(lines)), uri="file:///export.jsonl", collection=collection)


def _without_times(lines: list[bytes]) -> list[dict[str, Any]]:
    values = [json.loads(raw) for raw in lines]
    assert all(value[name] for value in values for name in TIMES)
    return [{name: value for name, value in line.items() if name not in TIMES} for line in values]


def _read(
    *lines: bytes | dict[str, Any], max_document_chars: int = 1_000
) -> tuple[list[LabelledDocument], dict[int, str]]:
    refused: dict[int, str] = {}
    raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    stream = io.BytesIO(raw)
    taken = list(read_lines(stream, max_document_chars=max_document_chars, on_refused=refused.__setitem__))
    return taken, refused


@pytest.fixture
def fill(tmp_path: Path) -> Callable[[Rag], None]:
    """Fill a collection with several files, two labels, rows, a duplicate before its original, and a second version."""

    def fill(service: Rag) -> None:
        docs, made_up = tmp_path / "docs", tmp_path / "made-up"
        docs.mkdir()
        made_up.mkdir()
        (docs / "a.txt").write_text(WHALES)
        (docs / "b.md").write_text("# Birds\n\nCranes dance. Zoë 🦩 saw them.\n\n## Owls\n\nOwls hunt at night.\n")
        (docs / "rows.csv").write_text("name,role\nAda Novak,on call\nBen Otieno,manager\n")
        (made_up / "lines.jsonl").write_text('{"text": "First made up."}\n{"text": "Second made up.", "year": 1987}\n')
        copies = tmp_path / "copies"
        copies.mkdir()
        (copies / "copy.txt").write_text(WHALES)
        service.ingest(docs, options=FileOptions(tags={"team": "ops"}))
        service.ingest(copies)
        service.ingest(made_up, options=FileOptions(origin="synthetic"))
        (docs / "a.txt").write_text("Penguins are birds.")
        service.ingest(docs, options=FileOptions(tags={"team": "ops"}))
        (docs / "a.txt").write_text(WHALES)  # now the older document is a duplicate of the younger one
        service.ingest(docs, options=FileOptions(tags={"team": "ops"}))

    return fill


def test_export_imported_into_an_empty_collection_exports_the_same_lines(
    service: Rag, fill: Callable[[Rag], None]
) -> None:
    fill(service)
    exported = _export(service)
    report = _import(service, exported, "copy")
    assert (report.num_added, report.num_exact_duplicates, report.num_refused) == (5, 1, 0)
    assert (report.num_real, report.num_synthetic) == (4, 2)
    again = _without_times(_export(service, "copy"))
    assert again == _without_times(exported)
    by_name = {line["source"].rpartition("/")[2]: line for line in again}
    assert (by_name["a.txt"]["version"], by_name["a.txt"]["duplicate_of"]) == (3, by_name["copy.txt"]["source"])
    assert (by_name["lines.jsonl#row=2"]["origin"], by_name["b.md"]["tags"]) == ("synthetic", {"team": "ops"})
    assert by_name["lines.jsonl#row=2"]["metadata"] == {"year": 1987}
    assert by_name["lines.jsonl#row=2"]["file"].endswith("/made-up/lines.jsonl")
    (hit,) = service.search("Which role has Ben Otieno?", collection="copy", top_k=1)
    assert (hit.row, hit.origin) == (2, "real")


def test_importing_again_changes_nothing(service: Rag, fill: Callable[[Rag], None]) -> None:
    fill(service)
    exported = _export(service)
    with service.database.read() as session:
        collection = get_collection(session, "default")
        before = (
            last_change_id(session, collection.id),
            list_documents(session, collection.id, filters={}, include_deleted=True),
        )
    report = _import(service, exported)
    assert (report.num_unchanged, report.num_added, report.num_updated, report.num_removed) == (6, 0, 0, 0)
    with service.database.read() as session:
        after = (
            last_change_id(session, collection.id),
            list_documents(session, collection.id, filters={}, include_deleted=True),
        )
    assert before == after
    assert _export(service) == exported


def test_import_removes_nothing_even_of_the_same_file(local: Rag, fill: Callable[[Rag], None]) -> None:
    fill(local)
    exported = _export(local)
    (one,) = [raw for raw in exported if b"row=2" in raw]
    report = _import(local, [one])
    assert (report.num_unchanged, report.num_removed) == (1, 0)
    assert len(_export(local)) == len(exported)


def test_files_are_unchanged_after_an_import(local: Rag, fill: Callable[[Rag], None], tmp_path: Path) -> None:
    fill(local)
    exported = _export(local)
    _import(local, exported, "copy")
    report = local.ingest(tmp_path / "docs", options=FileOptions(tags={"team": "ops"}), collection="copy")
    assert (report.num_unchanged, report.num_added, report.num_updated) == (3, 0, 0)


def test_export_is_filtered(local: Rag, fill: Callable[[Rag], None]) -> None:
    fill(local)
    assert len(_export(local, origin="synthetic")) == 2
    assert {json.loads(raw)["tags"]["team"] for raw in _export(local, team="ops")} == {"ops"}


def test_export_goes_through_all_pages_in_order(local: Rag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.store.document_texts.DOCUMENTS_PER_PAGE", 2)
    monkeypatch.setattr("rag.store.document_texts.TEXTS_PER_FETCH", 1)
    documents = [
        Document(
            source=f"test:{number}",
            file="test:",
            title="T",
            media_type="text/plain",
            text=f"This is number {number}.",
            sections=(Section(start=0, end=len(f"This is number {number}.")),),
        )
        for number in range(5)
    ]
    local.ingester.ingest_documents(
        documents, file="test:", file_sha256="x", collection="default", labels=Labels(tags={})
    )
    assert [json.loads(raw)["source"] for raw in _export(local)] == [f"test:{number}" for number in range(5)]


def test_each_line_brings_its_own_labels_and_number(local: Rag, line: dict[str, Any]) -> None:
    other = {**line, "source": "b", "origin": "real", "tags": {}, "version": 1, "text": "Other words here."}
    other |= {"text_sha256": normalized_sha256(other["text"]), "sections": [{"start": 0, "end": 17}]}
    _import(local, [json.dumps(value).encode() + b"\n" for value in (line, other)])
    with local.database.read() as session:
        collection_id = get_collection(session, "default").id
        first, second = (find_by_source(session, collection_id, value["source"]) for value in (line, other))
        assert first is not None
        assert second is not None
        found = get_document(session, first.id)
        assert get_document(session, first.id, version=4).text == WHALES
    assert (found.sections, found.document.metadata) == (
        (Section(start=0, end=len(WHALES), headings=("Whales",), page=2),),
        line["metadata"],
    )
    assert [type(value) for value in found.document.metadata.values()] == [int, float, bool, str, type(None)]
    assert (first.origin, first.tags, first.version, first.file_sha256) == ("synthetic", {"team": "sea"}, 4, "abc")
    assert (second.origin, second.tags, second.version) == ("real", {}, 1)
    (hit,) = local.search("whales mammals", top_k=1)
    assert (hit.document_version, hit.page, hit.origin, hit.text) == (4, 2, "synthetic", WHALES)


def test_changed_document_gets_a_later_number_than_both(local: Rag, line: dict[str, Any]) -> None:
    numbers = []
    for version, words in ((4, WHALES), (2, "Whales sing."), (9, "Whales sleep.")):
        changed = {**line, "version": version, "text": words, "text_sha256": normalized_sha256(words)}
        _import(local, [json.dumps({**changed, "sections": [{"start": 0, "end": len(words)}]}).encode()])
        numbers += [json.loads(raw)["version"] for raw in _export(local)]
    assert numbers == [4, 5, 9]


def test_bad_lines_are_refused_with_number_and_reason_and_the_others_are_stored(
    local: Rag, line: dict[str, Any]
) -> None:
    second = {**line, "source": "b", "text_sha256": "0" * 64}
    lines = [json.dumps(line).encode() + b"\n", b"\n", b"{not json\n", json.dumps(second).encode() + b"\n"]
    lines.append(json.dumps({**line, "source": "c", "text": WHALES + "\n"}).encode())
    report = _import(local, lines)
    assert (report.num_added, report.num_exact_duplicates, report.num_refused) == (1, 1, 2)
    assert [refused.source for refused in report.refused] == [
        "file:///export.jsonl#line=3",
        "file:///export.jsonl#line=4",
    ]
    assert report.refused[0].reason.startswith("Line 3: invalid JSON")
    assert report.refused[1].reason.startswith("Line 4: The text is not the one whose text_sha256 this is")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"text": None}, "text: input should be a valid string"),
        ({"text": " \n"}, "holds no text"),
        ({"text": "x" * 1_001}, "max_document_chars"),
        ({"text": "other"}, "text_sha256"),
        ({"text": "a\0b"}, "NUL"),
        ({"title": "a\0b"}, "NUL"),
        ({"source": ""}, "source: string should have at least 1 character"),
        ({"origin": "made up"}, "origin: input should be 'real' or 'synthetic'"),
        ({"tags": {"": "x"}}, "tags"),
        ({"tags": {"team": 1}}, "tags.team: input should be a valid string"),
        ({"tags": {"te\0am": "x"}}, "NUL"),
        ({"metadata": {"deep": {"a": 1}}}, "metadata.deep"),
        ({"metadata": {"big": float("inf")}}, "metadata.big"),
        ({"version": 0}, "version"),
        ({"version": True}, "version"),
        ({"sections": []}, "no section"),
        ({"sections": [{"start": 0, "end": 38}]}, "Section 1, characters 0 to 38, does not lie in the text"),
        ({"sections": [{"start": -1, "end": 3}]}, "Section 1"),
        ({"sections": [{"start": 5, "end": 3}]}, "Section 1"),
        ({"sections": [{"start": 0, "end": 9}, {"start": 8, "end": 12}]}, "Section 2"),
        ({"sections": [{"start": 0, "end": 9, "page": 0}]}, "sections.0.page"),
        ({"readers": ["everybody"]}, "readers: extra inputs are not permitted"),
    ],
)
def test_line_that_cannot_be_taken_says_why(line: dict[str, Any], changed: dict[str, Any], words: str) -> None:
    taken, refused = _read(line, {**line, **changed}, {**line, "source": "last"})
    assert [labelled.document.source for labelled in taken] == [line["source"], "last"]
    assert list(refused) == [2]
    assert refused[2].startswith("Line 2: ")
    assert words in refused[2]
    assert refused[2].endswith(".")


@pytest.mark.parametrize("name", ["source", "file", "title", "media_type", "text", "sections", "origin", "text_sha256"])
def test_missing_field_is_named(line: dict[str, Any], name: str) -> None:
    del line[name]
    assert _read(line)[1] == {1: f"Line 1: {name}: field required."}


@pytest.mark.parametrize("raw", [b"[1, 2]", b"null", b'"text"', b"\xff\xfe", b'{"text": "\\ud800"}', b"[" * 100_000])
def test_line_that_is_no_document_is_refused(line: dict[str, Any], raw: bytes) -> None:
    taken, refused = _read(raw, line)
    assert (len(taken), list(refused)) == (1, [1])


def test_line_without_end_is_not_read_into_memory(line: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_lines, "BYTES_PER_CHAR", 1)
    taken, refused = _read(line, b"x" * 3_000_000, line)
    assert len(taken) == 2
    assert refused == {2: "Line 2 is too long; raise the limit (setting: max_document_chars)."}


def test_byte_order_mark_and_windows_line_ends_do_no_harm(line: dict[str, Any]) -> None:
    raw = json.dumps(line).encode()
    assert _read(b"\xef\xbb\xbf" + raw + b"\r", b"\r", raw) == (_read(line)[0] * 2, {})


def test_collection_whose_model_is_not_here_is_refused(local: Rag, line: dict[str, Any]) -> None:
    from sqlalchemy import text

    _import(local, [json.dumps(line).encode()])
    with local.database.write() as session:
        session.execute(text("UPDATE collections SET embedding_model = 'other'"))
    with pytest.raises(InvalidInput, match="No embedding model 'other'"):
        _import(local, [json.dumps(line).encode()])
