import tempfile
from pathlib import Path

import pytest

from rag.errors import StoreUnavailable
from rag.store.collections import get_or_create_collection
from rag.store.scratch import scratch_database


def test_scratch_database_has_the_tables_and_is_gone_afterwards() -> None:
    with scratch_database() as database:
        assert database.path is not None
        path = database.path
        with database.write() as session:
            assert get_or_create_collection(session, "tried", embedding_model="model").id == 1
    assert not path.parent.exists()


def test_temporary_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StoreUnavailable, match="No such file or directory.*set TMPDIR"), scratch_database():
        pass
