"""The model registry in SQL: versions that never change, one active reader, bytes in parts, and what removal leaves."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select

from rag.errors import InvalidInput, NotFound
from rag.records import Caller, ModelKind
from rag.store import migrate, tables
from rag.store.audit import list_audit_events
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.models import (
    PART_BYTES,
    Model,
    ModelFile,
    ModelReference,
    NewModel,
    activate_reader,
    add_model,
    deactivate_reader,
    find_active_reader,
    find_model,
    has_registry,
    list_models,
    parse_reference,
    read_parts,
    reference_of,
    remove_model,
    sha256_of_files,
)

OPERATOR = Caller(os_user="root")
FILES = {"config.json": b"{}", "reader.safetensors": b"weights"}


def add(
    database: Database, name: str = "basic", kind: ModelKind = "reader", files: Mapping[str, bytes] = FILES
) -> Model:
    described = [
        ModelFile(path=path, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    ]

    def read(path: str) -> Iterator[bytes]:
        for start in range(0, len(files[path]), PART_BYTES):
            yield files[path][start : start + PART_BYTES]

    with database.write() as session:
        return add_model(session, NewModel(name=name, kind=kind, files=described), read, caller=OPERATOR)


def stored(database: Database, model: Model, path: str) -> list[bytes]:
    with database.read() as session:
        return list(read_parts(session, model.id, path))


def find(database: Database, words: str) -> Model:
    with database.read() as session:
        return find_model(session, parse_reference(words))


def test_bytes_come_back_in_the_order_that_they_went_in(database: Database) -> None:
    content = bytes(range(256)) * 10_000
    model = add(database, files={**FILES, "tokenizer.json": content})
    parts = stored(database, model, "tokenizer.json")
    assert [len(part) for part in parts] == [PART_BYTES, PART_BYTES, len(content) - 2 * PART_BYTES]
    assert b"".join(parts) == content
    assert find(database, "basic") == model
    assert (model.num_bytes, model.sha256) == (len(content) + 9, sha256_of_files(model.files))


def test_versions_count_and_the_newest_is_meant_where_none_is_named(database: Database) -> None:
    first = add(database)
    second = add(database, files={**FILES, "config.json": b"[]"})
    other = add(database, "other")
    assert [str(one.reference) for one in (first, second, other)] == ["basic@1", "basic@2", "other@1"]
    assert other.sha256 == first.sha256 != second.sha256
    assert find(database, "basic") == second
    assert find(database, "basic@1") == first
    with database.read() as session:
        assert list_models(session) == [first, second, other]
        assert list_models(session, kind="embedding") == []


def test_same_files_again_are_refused(database: Database) -> None:
    add(database)
    with pytest.raises(InvalidInput, match="basic@1 has just these files"):
        add(database)


def test_file_that_changed_on_the_way_leaves_nothing(database: Database) -> None:
    file = ModelFile(path="config.json", num_bytes=2, sha256=hashlib.sha256(b"{}").hexdigest())
    new = NewModel(name="basic", kind="reader", files=[file])
    with pytest.raises(InvalidInput, match=r"config\.json was changed"), database.write() as session:
        add_model(session, new, lambda _: iter([b"[]"]), caller=OPERATOR)
    with database.read() as session:
        assert list_models(session, with_removed=True) == []
        assert session.scalar(select(func.count()).select_from(tables.ModelFilePart)) == 0


def test_removed_version_keeps_its_row_and_its_number(database: Database) -> None:
    first = add(database)
    with database.write() as session:
        remove_model(session, first, caller=OPERATOR)
    assert stored(database, first, "reader.safetensors") == []
    with pytest.raises(NotFound, match="basic@1 was removed; there is none of that name"):
        find(database, "basic@1")
    with database.read() as session:
        assert list_models(session) == []
        (row,) = list_models(session, with_removed=True)
    assert (row.files, row.removed_at is not None) == (first.files, True)
    assert add(database).version == 2  # the same files may come again, and have a number of their own
    with pytest.raises(NotFound, match="basic@1 was removed; there is basic@2"):
        find(database, "basic@1")


def test_one_reader_is_active_and_cannot_be_removed(database: Database) -> None:
    first, second = add(database), add(database, "other")
    for model in (first, second):
        with database.write() as session:
            activate_reader(session, model, caller=OPERATOR)
    assert find(database, "basic").activated_at is None
    with database.read() as session:
        active = find_active_reader(session)
    assert active is not None
    assert active.id == second.id
    with pytest.raises(InvalidInput, match="other@1 is active"), database.write() as session:
        remove_model(session, active, caller=OPERATOR)
    with database.write() as session:
        assert deactivate_reader(session, caller=OPERATOR).id == second.id
        assert find_active_reader(session) is None
    with pytest.raises(NotFound, match="No reader"), database.write() as session:
        deactivate_reader(session, caller=OPERATOR)


def test_only_readers_can_be_activated(database: Database) -> None:
    model = add(database, kind="embedding")
    with pytest.raises(InvalidInput, match="of the kind embedding"), database.write() as session:
        activate_reader(session, model, caller=OPERATOR)


def test_model_that_a_collection_is_embedded_with_cannot_be_removed(database: Database) -> None:
    model = add(database, "tiny", kind="embedding")
    with database.write() as session:
        get_or_create_collection(session, "handbook", embedding_model="registry:tiny@1")
    with pytest.raises(InvalidInput, match="has vectors of tiny@1"), database.write() as session:
        remove_model(session, model, caller=OPERATOR)


def test_what_is_done_is_audited(database: Database) -> None:
    model = add(database)
    with database.write() as session:
        activate_reader(session, model, caller=OPERATOR)
        deactivate_reader(session, caller=OPERATOR)
        remove_model(session, model, caller=OPERATOR)
    with database.read() as session:
        events = [(event.action, event.target) for event in list_audit_events(session)]
    actions = ["model.remove", "model.deactivate", "model.activate", "model.add"]
    assert events == [(action, "basic@1") for action in actions]


def test_answer_is_traced_to_the_model_by_the_hash_of_its_weights(database: Database) -> None:
    add(database)
    weights = hashlib.sha256(FILES["reader.safetensors"]).hexdigest()
    with database.write() as session:
        collection = get_or_create_collection(session, "handbook", embedding_model="m")
        answer = {"collection_id": collection.id, "question": "q", "answer": "a", "abstained": False, "confidence": 1}
        answer |= {"model": "reader", "embedding_model": "m", "index_change_id": 0, "settings": {}}
        session.execute(insert(tables.Answer), answer | {"model_sha256": weights, "created_at": datetime.now(UTC)})
        joined = (
            select(tables.Model.name)
            .join(tables.ModelFile)
            .join(tables.Answer, tables.Answer.model_sha256 == tables.ModelFile.sha256)
        )
        assert session.scalars(joined).all() == ["basic"]


@pytest.mark.parametrize(
    "words", ["", "Basic", "a b", "basic@", "basic@0", "basic@x", "../basic", "a:b", "a@1@2", "-a"]
)
def test_other_words_are_no_reference(words: str) -> None:
    with pytest.raises(InvalidInput, match="not what a model can be called"):
        parse_reference(words)


def test_settings_name_a_model_by_the_prefix() -> None:
    assert reference_of("registry:basic") == ModelReference(name="basic")
    assert reference_of("registry:all-minilm_1.5@12") == ModelReference(name="all-minilm_1.5", version=12)
    assert reference_of("/models/basic") is reference_of("") is None
    with pytest.raises(InvalidInput, match="not what"):
        reference_of("registry:")


def test_version_is_not_chosen(database: Database) -> None:
    with pytest.raises(InvalidInput, match="leave it out"):
        add(database, "basic@3")


def test_older_database_has_no_registry(database: Database) -> None:
    with database.read() as session:
        assert has_registry(session)
    migrate.downgrade(database, "0018")
    with database.read() as session:
        assert not has_registry(session)
    migrate.upgrade(database)
    assert migrate.check(database) == []
