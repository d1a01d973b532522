"""The pipeline on a real database with the real embedding model."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, NotFound, UnreadableDocument
from rag.ingest.file_options import FileOptions
from rag.ingest.labels import Labels
from rag.ingest.report import IngestionReport
from rag.records import SearchOptions
from rag.store.collections import get_collection
from rag.store.documents import StoredDocument, get_document, list_documents
from rag.store.runs import get_run, list_failures

WORDS = (
    "The support rota is kept by the operations team and every engineer serves one week in eight, answering tickets "
    "within four hours on working days and within one hour when the service is down, and writes down what was learned."
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one of each thing that can happen."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "rota.md").write_text(f"# Rota\n\n{WORDS} Policy 2024 applies.\n")
    (folder / "rota-copy.txt").write_text(f"Rota\n\n{WORDS}   Policy 2024\napplies.\n")
    (folder / "rota-2025.md").write_text(f"# Rota\n\n{WORDS} Policy 2025 applies.\n")
    (folder / "other.txt").write_text("Whales are mammals. They breathe air.")
    (folder / "rows.csv").write_text("name,role\nAda Novak,on call\nBen Otieno,manager\n")
    (folder / "damaged.pdf").write_bytes(b"%PDF-1.7\nnot really")
    return folder


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Rag:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path) -> Rag:
    """The same on SQLite only, for what does not depend on the database."""
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


def _counts(report: IngestionReport) -> tuple[int, ...]:
    return (
        report.num_added,
        report.num_updated,
        report.num_unchanged,
        report.num_exact_duplicates,
        report.num_near_duplicates,
        report.num_refused,
        report.num_removed,
    )


def _name(source: str) -> str:
    return source.rpartition("/")[2]


def _words(service: Rag, query: str, **options: object) -> list[str]:
    return [_name(hit.source) for hit in service.search(query, **options)]


def test_everything_is_added_linked_or_refused_with_its_reason(service: Rag, folder: Path) -> None:
    report = service.ingest(folder)
    assert _counts(report) == (4, 0, 0, 1, 1, 1, 0)
    assert [(_name(p.source), _name(p.of)) for p in report.exact_duplicates] == [("rota.md", "rota-copy.txt")]
    assert [(_name(p.source), _name(p.of)) for p in report.near_duplicates] == [("rota-copy.txt", "rota-2025.md")]
    assert _name(report.refused[0].source) == "damaged.pdf"
    assert report.run_id is not None
    with service.database.read() as session:
        assert get_run(session, report.run_id).status == "finished"
        assert [_name(f.source) for f in list_failures(session, report.run_id)] == ["damaged.pdf"]


def test_second_run_adds_nothing_and_reports_the_damaged_file_again(service: Rag, folder: Path) -> None:
    service.ingest(folder)
    again = service.ingest(folder)
    assert _counts(again) == (0, 0, 5, 0, 0, 1, 0)
    assert again.num_passages == 0


def test_policies_that_differ_in_a_number_are_both_found(service: Rag, folder: Path) -> None:
    service.ingest(folder)
    hits = service.search("Which policy applies, Policy 2025 or Policy 2024?", top_k=5)
    texts = " ".join(hit.text for hit in hits)
    assert "Policy 2024" in texts
    assert "Policy 2025" in texts
    same_words = next(hit for hit in hits if "Policy 2024" in hit.text)
    assert [_name(reference.source) for reference in same_words.also_in] == ["rota.md"]


def test_changed_document_replaces_its_passages_and_keeps_its_old_version(service: Rag, folder: Path) -> None:
    service.ingest(folder)
    assert _words(service, "whales mammals", top_k=1) == ["other.txt"]
    (hit,) = service.search("whales mammals", top_k=1)
    (folder / "other.txt").write_text("Penguins are birds. They swim.")
    report = service.ingest(folder)
    assert report.num_updated == 1
    assert not any("mammals" in found.text for found in service.search("whales mammals", top_k=20))
    assert _words(service, "penguins swim", top_k=1) == ["other.txt"]
    with service.database.read() as session:
        old = get_document(session, hit.document_id, version=hit.document_version)
    assert old.text[hit.start : hit.end] == hit.text


def test_removed_document_is_gone_from_search_and_its_copy_takes_its_place(service: Rag, folder: Path) -> None:
    service.ingest(folder)
    original = next(hit for hit in service.search("Policy 2024", top_k=5) if "2024" in hit.text)
    service.ingester.remove(original.document_id)
    heir = next(hit for hit in service.search("Policy 2024", top_k=5) if "2024" in hit.text)
    assert _name(heir.source) == "rota.md"
    assert heir.also_in == ()
    service.ingester.remove(heir.document_id)
    assert not any("2024" in hit.text for hit in service.search("Policy 2024", top_k=20))
    with pytest.raises(NotFound, match="deleted already"):
        service.ingester.remove(heir.document_id)


def test_copy_of_a_changed_original_becomes_an_original(service: Rag, folder: Path) -> None:
    service.ingest(folder)
    (folder / "rota-copy.txt").write_text("Nothing to see here any more.")
    service.ingest(folder)
    found = next(hit for hit in service.search("Policy 2024", top_k=5) if "2024" in hit.text)
    assert _name(found.source) == "rota.md"


def test_prune_removes_only_what_is_gone_from_the_given_paths(local: Rag, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "docs-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "far.txt").write_text("Far away.")
    local.ingest(folder, elsewhere)
    (folder / "other.txt").unlink()
    (elsewhere / "far.txt").unlink()
    assert local.ingest(folder).num_removed == 0
    assert local.ingest(folder, options=FileOptions(prune=True)).num_removed == 1
    assert "far.txt" in _words(local, "far away", top_k=10)
    assert "other.txt" not in _words(local, "whales", top_k=10)


def test_document_that_was_removed_and_comes_back_is_added(local: Rag, folder: Path) -> None:
    local.ingest(folder)
    text = (folder / "other.txt").read_text()
    (folder / "other.txt").unlink()
    local.ingest(folder, options=FileOptions(prune=True))
    (folder / "other.txt").write_text(text)
    assert local.ingest(folder).num_added == 1
    assert _words(local, "whales mammals", top_k=1) == ["other.txt"]


def test_rows_keep_their_number_and_header(local: Rag, folder: Path) -> None:
    local.ingest(folder)
    (hit,) = local.search("Which role has Ben Otieno?", top_k=1)
    assert (hit.row, hit.text) == (2, "name: Ben Otieno; role: manager")


def test_tags_and_origin_can_be_filtered_and_changed(local: Rag, folder: Path) -> None:
    local.ingest(folder, options=FileOptions(tags={"team": "ops"}, origin="synthetic"))
    assert _words(local, "whales", filters={"team": "ops"}, top_k=1) == ["other.txt"]
    assert local.search("whales", filters={"team": "dev"}) == ()
    changed = local.ingest(folder, options=FileOptions(tags={"team": "dev"}))
    # Documents of another origin repeat no real one: the copy leaves its original and follows it again.
    assert (changed.num_updated, changed.num_exact_duplicates) == (4, 1)
    assert _words(local, "whales", filters={"team": "dev", "origin": "real"}, top_k=1) == ["other.txt"]


def test_dry_run_says_what_a_run_does_and_writes_nothing(local: Rag, folder: Path) -> None:
    preview = local.ingest(folder, dry_run=True)
    with pytest.raises(NotFound):
        local.search("whales")
    report = local.ingest(folder)
    assert _counts(preview) == _counts(report)
    assert (preview.exact_duplicates, preview.near_duplicates) == (report.exact_duplicates, report.near_duplicates)
    (folder / "other.txt").write_text("Penguins are birds.")
    (folder / "new.txt").write_text((folder / "rota.md").read_text())
    again = local.ingest(folder, dry_run=True)
    assert _counts(again) == _counts(local.ingest(folder))


def test_dry_run_tells_of_new_labels_and_of_rows_that_are_gone(local: Rag, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": "Herons wade."}\n{"text": "Storks fly."}\n')
    local.ingest(path)
    labelled = FileOptions(tags={"team": "ops"})
    preview = local.ingest(path, options=labelled, dry_run=True)
    assert _counts(preview) == _counts(local.ingest(path, options=labelled)) == (0, 2, 0, 0, 0, 0, 0)
    path.write_text('{"text": "Herons wade."}\n')
    preview = local.ingest(path, options=labelled, dry_run=True)
    assert _counts(preview) == _counts(local.ingest(path, options=labelled)) == (0, 0, 1, 0, 0, 0, 1)


def test_dry_run_compares_with_what_the_run_itself_would_change(local: Rag, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, words in {"a": WORDS, "b": f"{WORDS} Then.", "c": WORDS, "d": "Whales are mammals."}.items():
        (folder / f"{name}.txt").write_text(words)
    local.ingest(folder)
    (folder / "a.txt").write_text("Penguins are birds. They swim.")
    (folder / "b.txt").write_text(f"{WORDS} Later.")
    (folder / "d.txt").write_text(f"{WORDS} Then.")
    (folder / "e.txt").write_text("Penguins are birds. They   swim.")
    (folder / "f.txt").write_text(WORDS)
    preview, report = local.ingest(folder, dry_run=True), local.ingest(folder)
    assert _counts(preview) == _counts(report) == (0, 3, 1, 2, 2, 0, 0)
    assert preview.exact_duplicates == report.exact_duplicates
    assert preview.near_duplicates == report.near_duplicates
    assert [(_name(p.source), _name(p.of)) for p in report.near_duplicates] == [("b.txt", "c.txt"), ("d.txt", "c.txt")]


def test_rows_that_left_a_file_leave_the_collection(local: Rag, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    rows = [{"title": f"Note {i}", "text": f"Note number {i} speaks of topic{i}."} for i in range(3)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert local.ingest(path).num_added == 3
    path.write_text("\n".join(json.dumps(row) for row in rows[:2]))
    assert _counts(local.ingest(path)) == (0, 0, 2, 0, 0, 0, 1)
    assert not any("topic2" in hit.text for hit in local.search("topic2", top_k=10))


def test_file_with_a_bad_line_gives_its_good_ones_and_is_reported_every_time(local: Rag, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": "Good line about herons."}\nnot json\n{"text": "Another about storks."}\n')
    for added in (2, 0):
        report = local.ingest(path)
        assert (report.num_added, report.num_refused) == (added, 1)
        assert "2" in report.refused[0].reason


def _upload(local: Rag, words: str) -> tuple[StoredDocument, ...]:
    uploaded = local.ingester.upload(words.encode(), name="birds.txt", collection="default", labels=Labels(tags={}))
    return uploaded.documents


def test_upload_is_found_at_once_and_a_new_upload_of_the_name_is_a_new_version(local: Rag) -> None:
    (document,) = _upload(local, "Cranes dance.")
    assert _words(local, "cranes", top_k=1) == ["upload:birds.txt"]
    (second,) = _upload(local, "Owls hunt.")
    assert (second.id, second.version) == (document.id, 2)
    assert not any("Cranes" in hit.text for hit in local.search("cranes", top_k=5))


def test_upload_that_cannot_be_read_says_why(local: Rag) -> None:
    with pytest.raises(UnreadableDocument):
        local.ingester.upload(b"\x00\x01\x02", name="x.bin", collection="default", labels=Labels(tags={}))


def test_missing_path_and_empty_folder_are_named(local: Rag, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file or folder"):
        local.ingest(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no file to read"):
        local.ingest(tmp_path / "empty")


def test_collection_whose_model_is_not_here_is_refused(local: Rag, folder: Path) -> None:
    local.ingest(folder / "other.txt")
    with local.database.write() as session:
        session.execute(text("UPDATE collections SET embedding_model = 'other'"))
    with pytest.raises(InvalidInput, match="No embedding model 'other'"):
        local.ingest(folder)


@pytest.mark.slow
def test_killed_run_is_finished_by_the_same_command(sqlite_url: str, local: Rag, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number:03}.txt").write_text(f"Document {number} speaks of topic{number}.")
    script = (
        "import sys; import rag.ingest.reading; from rag.assemble import Rag; from rag.config import Settings;"
        "rag.ingest.reading.BATCH_DOCUMENTS = 16;"  # many transactions over few documents
        "Rag(Settings(database_url=sys.argv[1], data_dir=sys.argv[2])).ingest(sys.argv[3])"
    )
    arguments = [sys.executable, "-c", script, sqlite_url, str(tmp_path / "data"), str(folder)]
    process = subprocess.Popen(arguments)
    try:
        deadline = time.monotonic() + 120
        while _num_documents(local) == 0:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = _num_documents(local)
    assert 0 < before < 150
    report = local.ingest(folder)
    assert (report.num_unchanged, report.num_added) == (before, 150 - before)
    assert _words(local, "topic149", options=SearchOptions(mode="keyword"), top_k=1) == ["149.txt"]
    assert _words(local, "topic0", options=SearchOptions(mode="keyword"), top_k=1) == ["000.txt"]


def _num_documents(service: Rag) -> int:
    with service.database.read() as session:
        try:
            collection = get_collection(session, "default")
        except NotFound:
            return 0
        return len(list_documents(session, collection.id, filters={}, limit=1000))


def test_folder_that_cannot_be_listed_is_reported_and_the_rest_is_read(
    local: Rag, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path: str | Path) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = local.ingest(folder)
    assert [_name(refused.source) for refused in report.refused] == ["closed", "damaged.pdf"]
    assert "Permission denied" in report.refused[0].reason
    assert report.num_added == 4
    with pytest.raises(InvalidInput, match="no file to read"):
        local.ingest(closed)


def test_what_was_lost_is_reported_by_file_and_is_no_refusal(local: Rag, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    with zipfile.ZipFile(folder / "pack.zip", "w") as archive:
        archive.writestr("a.txt", "Words about herons.")
        archive.writestr("photo.png", "x")
    (folder / "damaged.txt").write_bytes(("naïve café " * 50).encode() + b"\xff")
    preview = local.ingest(folder, dry_run=True)
    report = local.ingest(folder)
    assert (report.num_added, report.num_refused) == (2, 0)
    assert [(_name(lost.source), lost.reason) for lost in report.partly_read] == [
        ("damaged.txt", "1 place could not be decoded as utf-8 and now read U+FFFD."),
        ("pack.zip", "Files of kinds that are not read: photo.png."),
    ]
    assert preview.partly_read == report.partly_read
    again = local.ingest(folder)
    assert (again.num_unchanged, again.partly_read) == (2, ())


def test_files_that_left_an_archive_leave_the_collection(local: Rag, tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    for names, counts in (
        ("abc", (3, 0, 0, 0, 0, 0, 0)),
        ("abc", (0, 0, 3, 0, 0, 0, 0)),
        ("ab", (0, 0, 2, 0, 0, 0, 1)),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(f"{name}.txt"), f"Words about topic{name}.")
        assert _counts(local.ingest(path)) == counts
    (hit,) = local.search("topica", top_k=1)
    assert hit.source.endswith("pack.zip#member=a.txt")


def test_other_field_names_read_records_anew_and_leave_other_files_alone(local: Rag, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"key": 7, "text": "Herons wade.", "story": "Storks fly."}\n')
    (folder / "b.md").write_text("# Owls\n\nThey hunt.")
    assert local.ingest(folder).num_added == 2
    assert _counts(local.ingest(folder, options=FileOptions(text_field="story"), dry_run=True))[:3] == (0, 1, 1)
    assert _counts(local.ingest(folder, options=FileOptions(text_field="story")))[:3] == (0, 1, 1)
    assert _counts(local.ingest(folder, options=FileOptions(text_field="story")))[:3] == (0, 0, 2)
    assert "Storks fly." in local.search("storks", top_k=1)[0].text
    report = local.ingest(folder, options=FileOptions(text_field="story", id_field="key"))
    assert (report.num_added, report.num_removed) == (1, 1)
    assert local.search("storks", top_k=1)[0].source.endswith("a.jsonl#id=7")
