import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rag.disk import IN_USE, TemporaryFolder

MAKE_ONE_AND_WAIT = """
import sys
from rag.disk import TemporaryFolder
folder = TemporaryFolder("of-a-test-")
(folder.path / "segment").write_bytes(b"x")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_temporary_folder_is_gone_with_its_contents_and_removing_it_again_changes_nothing() -> None:
    with TemporaryFolder("of-a-test-") as folder:
        (folder.path / "inner").mkdir()
        (folder.path / "inner" / "file").touch()
    assert not folder.path.exists()
    folder.remove()


def test_temporary_folder_that_is_forgotten_is_gone_too() -> None:
    folder = TemporaryFolder("of-a-test-")
    path = folder.path
    assert path.exists()
    del folder
    assert not path.exists()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAKE_ONE_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with TemporaryFolder("of-a-test-") as mine, TemporaryFolder("of-another-") as other:
            assert (theirs / "segment").exists()
            process.send_signal(signal.SIGKILL)
            process.wait()
            with TemporaryFolder("of-another-"):
                assert theirs.exists()
            with TemporaryFolder("of-a-test-"):
                assert not theirs.exists()
            assert mine.path.exists()
            assert other.path.exists()


def test_folder_without_a_lock_is_nobodys_to_remove(tmp_path: Path) -> None:
    (tmp_path / "of-a-test-begun").mkdir()
    with TemporaryFolder("of-a-test-"):
        assert (tmp_path / "of-a-test-begun").exists()


def test_folder_of_another_user_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    theirs = tmp_path / "of-a-test-theirs"
    theirs.mkdir()
    os.mkfifo(theirs / IN_USE)  # opening it would wait for ever
    somebody_else = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody_else)
    with TemporaryFolder("of-a-test-"):
        assert theirs.exists()
