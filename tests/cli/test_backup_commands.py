"""``rag db backup`` and ``rag db restore`` as people call them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rag.cli.main import app
from rag.errors import InvalidInput, StoreUnavailable
from rag.store import migrate
from rag.store.database import Database


def rag(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--data-dir", str(data_dir), "db", *arguments])


def acts(data_dir: Path) -> list[str]:
    """What the audit has, the oldest first."""
    listed = CliRunner().invoke(app, ["--data-dir", str(data_dir), "audit", "list", "--json"])
    return [event["action"] for event in reversed(json.loads(listed.stdout)["events"])]


def test_backup_and_restore_say_what_they_did(tmp_path: Path) -> None:
    file, here, there = tmp_path / "backup.zip", tmp_path / "here", tmp_path / "there"
    assert rag(here, "upgrade").exit_code == 0
    told = json.loads(rag(here, "backup", str(file), "--json").stdout)
    assert (told["file"], told["num_bytes"]) == (str(file), file.stat().st_size)
    assert told["revision"] == migrate.head_revision()
    refused = rag(here, "backup", str(file))
    assert isinstance(refused.exception, InvalidInput)
    assert "--force" in str(refused.exception)
    assert f"{file}: " in rag(here, "backup", str(file), "--force").stdout
    restored = json.loads(rag(there, "restore", str(file), "--json").stdout)
    assert (restored["differences"], restored["needs_upgrade"]) == ([], False)
    assert f"restored {file}" in rag(there, "restore", str(file), "--force").stdout
    assert acts(there) == ["db.upgrade", "db.backup", "db.restore"]  # a backup does not know of itself
    assert acts(here) == ["db.upgrade", "db.backup", "db.backup"]


def test_backup_of_a_database_that_cannot_be_written_says_that_it_is_not_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rag(tmp_path, "upgrade")

    def full(*_: object, **__: object) -> None:
        raise StoreUnavailable("The disk is full.")

    monkeypatch.setattr("rag.store.audit.put_audit_event", full)
    backup = rag(tmp_path, "backup", str(tmp_path / "backup.zip"))
    assert backup.exit_code == 0
    assert "db.backup is not in the audit: The disk is full." in backup.stderr
    assert (tmp_path / "backup.zip").exists()


def test_restored_database_of_an_older_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    here = tmp_path / "here"
    rag(here, "upgrade")
    database = Database(f"sqlite:///{here / 'rag.db'}")
    migrate.downgrade(database, "0013")
    database.dispose()
    rag(here, "backup", str(tmp_path / "backup.zip"))
    assert "rag db upgrade" in rag(tmp_path / "there", "restore", str(tmp_path / "backup.zip")).stderr


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.zip").write_bytes(content)
    refused = rag(tmp_path / "there", "restore", str(tmp_path / "file.zip"))
    assert "no whole backup" in str(refused.exception)
