"""``rag db backup`` and ``rag db restore`` as people call them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rag.cli.main import app
from rag.errors import InvalidInput
from rag.store import migrate
from rag.store.database import Database


def rag(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--data-dir", str(data_dir), "db", *arguments])


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
