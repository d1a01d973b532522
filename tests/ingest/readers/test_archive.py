"""Reading ZIP archives."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rag.errors import LimitExceeded, UnreadableDocument
from rag.ingest.readers.raw_file import FieldNames
from rag.records import Document

ReadAll = Callable[..., list[Document]]


def pack(members: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def encrypted(data: bytes) -> bytes:
    """The archive with the flag of encryption on all its members."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(signature)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(signature, at + 1)
    return bytes(changed)


def test_each_file_is_read_by_its_own_reader_as_a_document_of_its_own(read: ReadAll) -> None:
    data = pack({"b/notes & more.md": "# Notes\n\nOne.", "a.csv": "h\nx\n", "c/r.jsonl": '{"text": "One."}\n'})
    documents = read(data, "a.zip")
    assert [(d.source, d.file, d.title) for d in documents] == [
        ("upload:a.zip#member=b/notes%20%26%20more.md", "upload:a.zip", "Notes"),
        ("upload:a.zip#member=a.csv", "upload:a.zip", "a"),
        ("upload:a.zip#member=c/r.jsonl&row=1", "upload:a.zip", "r, row 1"),
    ]
    assert [d.media_type for d in documents] == ["text/markdown", "text/csv", "application/json"]
    assert not any(d.losses for d in documents)


def test_what_is_not_read_is_said_and_the_rest_is_read(read: ReadAll) -> None:
    members = {"a.txt": "One.", "photo.png": b"x", "img/b.bin": b"x", "bad.pdf": b"%PDF-1.4", "l.jsonl": '"a"\n{\n'}
    documents = read(pack(members), "a.zip")
    assert [d.text for d in documents] == ["One.", "a"]
    assert documents[0].losses == ()
    damaged, lines, others = documents[1].losses
    assert damaged.startswith("bad.pdf is damaged")
    assert lines.startswith("l.jsonl has unreadable lines: 2 ")
    assert others == "Files of kinds that are not read: photo.png and img/b.bin."


def test_losses_of_a_file_name_it(read: ReadAll) -> None:
    damaged = ("naïve café " * 50).encode() + b"\xff"
    (document,) = read(pack({"x/a.txt": damaged}), "a.zip")
    assert document.losses == ("x/a.txt: 1 place could not be decoded as utf-8 and now read U+FFFD.",)


def test_encrypted_files_are_lost_and_named(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="holds no file that can be read. The first: a.txt is encrypted; pack"):
        read(encrypted(pack({"a.txt": "One."})), "a.zip")


def test_unusual_compression_is_lost_and_named(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.txt is packed with an unusual method"):
        read(pack({"a.txt": "One."}, zipfile.ZIP_LZMA), "a.zip")


def test_damaged_files_are_lost_and_named(read: ReadAll) -> None:
    data = pack({"a.txt": "One.", "b.txt": "Two, three and four."}, zipfile.ZIP_STORED)
    (document,) = read(data.replace(b"three", b"thrEe"), "a.zip")
    assert (document.text, document.losses) == ("One.", ("b.txt is damaged.",))


def test_hidden_files_and_apples_copies_are_passed_over(read: ReadAll) -> None:
    data = pack({"a.txt": "One.", ".git/config.txt": "x", "__MACOSX/._a.txt": "x", "d/.b.txt": "x"})
    (document,) = read(data, "a.zip")
    assert (document.text, document.losses) == ("One.", ())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_a_name_that_stands_twice_the_last_file_is_read(read: ReadAll) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "Old.")
        archive.writestr("a.txt", "New.")
    (document,) = read(stream.getvalue(), "a.zip")
    assert document.text == "New."
    assert document.losses == ("a.txt stands in the archive 2 times; only the last was read.",)


@pytest.mark.parametrize("name", ["../../etc/x.txt", "/tmp/x.txt", "C:\\x.txt", "a\nb.txt"])
def test_names_never_become_paths(read: ReadAll, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (document,) = read(pack({name: "One."}), "a.zip")
    assert document.source.startswith("upload:a.zip#member=")
    assert "\n" not in document.source
    assert list(tmp_path.iterdir()) == []


def test_an_archive_within_an_archive_is_read_and_a_third_is_not(read: ReadAll) -> None:
    third = pack({"deep.txt": "Deep."})
    second = pack({"b.txt": "Two.", "third.zip": third})
    first, inner = read(pack({"a.txt": "One.", "second.zip": second}), "a.zip")
    assert (first.text, inner.text) == ("One.", "Two.")
    assert inner.source == "upload:a.zip#member=second.zip&member=b.txt"
    (loss,) = inner.losses
    assert loss.startswith("second.zip: third.zip lies within 2 other archives")
    assert loss.endswith("(setting: max_archive_depth)")
    assert len(read(pack({"second.zip": second}), "a.zip", max_archive_depth=3)) == 2


def test_more_files_than_allowed_are_refused(read: ReadAll) -> None:
    data = pack({f"{i}.txt": "x" for i in range(11)})
    with pytest.raises(LimitExceeded, match="a.zip holds 11 files, more than 10.* max_archive_members"):
        read(data, "a.zip", max_archive_members=10)


def test_files_of_inner_archives_count_too(read: ReadAll) -> None:
    inner = pack({f"{i}.txt": f"x{i}" for i in range(6)})
    with pytest.raises(LimitExceeded, match="max_archive_members"):
        read(pack({"a.zip": inner, "b.zip": inner}), "a.zip", max_archive_members=10)


def test_more_bytes_than_allowed_are_refused_whole_or_in_inner_archives(read: ReadAll) -> None:
    with pytest.raises(LimitExceeded, match="a.zip unpacks to more than 1,000 bytes.* max_archive_bytes"):
        read(pack({"a.txt": "x" * 600, "b.txt": "y" * 600}), "a.zip", max_archive_bytes=1_000)
    inner = pack({"a.txt": "x" * 600})
    with pytest.raises(LimitExceeded, match="max_archive_bytes"):
        read(pack({"a.zip": inner, "b.zip": inner}), "a.zip", max_archive_bytes=1_000)


def test_a_file_that_unpacks_a_thousandfold_is_refused(read: ReadAll) -> None:
    data = pack({"a.txt": b"x" * 20_000_000})
    assert len(data) < 30_000
    with pytest.raises(LimitExceeded, match="max_compression_ratio"):
        read(data, "a.zip")


def test_a_file_that_lies_about_its_size_is_lost(read: ReadAll) -> None:
    data = pack({"a.txt": b"x" * 20_000_000, "b.txt": "Two."})
    (document,) = read(data.replace((20_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")), "a.zip")
    assert (document.text, document.losses) == ("Two.", ("a.txt is damaged.",))


def test_a_file_over_the_limit_of_files_is_lost_and_the_others_read(read: ReadAll) -> None:
    (document,) = read(pack({"a.txt": "x y " * 500, "b.txt": "Two."}), "a.zip", max_file_bytes=1_000)
    assert document.text == "Two."
    assert "a.txt holds more than 1,000 bytes" in document.losses[0]


def test_only_some_of_many_losses_are_named(read: ReadAll) -> None:
    members = {"ok.txt": "One."} | {f"{i}.pdf": "no" for i in range(50)} | {f"{i}.png": "x" for i in range(50)}
    (document,) = read(pack(members), "a.zip")
    assert len(document.losses) == 21
    assert document.losses[-1] == "31 more were not read, or not wholly."


def test_the_names_of_fields_hold_within_archives(read: ReadAll) -> None:
    (document,) = read(
        pack({"a.json": '{"key": 7, "words": "One."}'}), "a.zip", fields=FieldNames(text="words", id="key")
    )
    assert (document.source, document.text) == ("upload:a.zip#member=a.json&id=7", "One.")


@pytest.mark.parametrize("data", [b"no archive", pack({"a.txt": "One."})[:-30]], ids=["another file", "cut off"])
def test_a_damaged_archive_is_refused(read: ReadAll, data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="a.zip is damaged or no ZIP archive"):
        read(data, "a.zip")


def test_an_archive_without_files_is_refused(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.zip holds no file that can be read"):
        read(pack({}), "a.zip")
