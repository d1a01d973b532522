from pathlib import Path

import pytest

from rag.errors import IndexDamaged
from rag.index.snapshots import SnapshotFolder, check_snapshot


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    folder = SnapshotFolder(tmp_path)
    written = folder.begin()
    for name in ("vectors/rows", "vectors/ids", "keyword/segment"):
        (written / name).parent.mkdir(exist_ok=True)
        (written / name).write_bytes(name.encode() * 3)
    return folder.commit(written, embedding_model="model", dimension=8, change_id=7, num_passages=3)


def test_good_snapshot_is_accepted(snapshot: Path) -> None:
    manifest = check_snapshot(snapshot, embedding_model="model", dimension=8)
    assert sorted(manifest.files) == ["keyword/segment", "vectors/ids", "vectors/rows"]


@pytest.mark.parametrize("name", ["vectors/rows", "vectors/ids", "keyword/segment"])
def test_every_flipped_byte_is_noticed(snapshot: Path, name: str) -> None:
    good = (snapshot / name).read_bytes()
    for position in range(len(good)):
        flipped = bytearray(good)
        flipped[position] ^= 1
        (snapshot / name).write_bytes(flipped)
        with pytest.raises(IndexDamaged, match=f"{name} is not as written"):
            check_snapshot(snapshot, embedding_model="model", dimension=8)
    (snapshot / name).write_bytes(good)
    check_snapshot(snapshot, embedding_model="model", dimension=8)


def test_missing_and_added_files_are_noticed(snapshot: Path) -> None:
    (snapshot / "vectors/more").write_text("x")
    with pytest.raises(IndexDamaged, match="vectors/more"):
        check_snapshot(snapshot, embedding_model="model", dimension=8)
    (snapshot / "vectors/more").rename(snapshot / "vectors/ids")
    with pytest.raises(IndexDamaged, match="vectors/ids"):
        check_snapshot(snapshot, embedding_model="model", dimension=8)
    (snapshot / "vectors/ids").unlink()
    with pytest.raises(IndexDamaged, match="vectors/ids"):
        check_snapshot(snapshot, embedding_model="model", dimension=8)


def test_snapshot_of_another_model_or_dimension_is_refused(snapshot: Path) -> None:
    for model, dimension in (("other", 8), ("model", 9)):
        with pytest.raises(IndexDamaged, match="another format or embedding model"):
            check_snapshot(snapshot, embedding_model=model, dimension=dimension)
