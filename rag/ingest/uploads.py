"""Uploads that are worked on after their sender has been answered: kept on disk first, and resumed after a crash.

An uploaded file is written, flushed and renamed before its run is committed, under a name that is made here. From then
on it is worked on once, whatever happens to the server: the row that names it says so until the run has ended. Files
whose run was never committed are removed.
"""

import logging
import os
import time
import uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from rag.disk import flush
from rag.errors import Busy, InvalidInput, RagError, StoreUnavailable
from rag.ingest.files import bytes_sha256
from rag.ingest.labels import Labels
from rag.ingest.pipeline import Ingester
from rag.ingest.run import upload_source
from rag.records import OWNER, Caller
from rag.store.database import Database
from rag.store.runs import add_failure, fail_run, get_run
from rag.store.uploads import (
    SpooledFile,
    WaitingUpload,
    count_attempt,
    end_upload,
    forgive_attempt,
    next_upload,
    put_upload,
    waiting_files,
)

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A file that ends the server each time, for want of memory say, must not do so for ever."""
LEFTOVER_S = 3600.0
"""A file without a row that is older was left by a server that was killed before it could commit one."""
SPOOL_NAME = "spool-id"


class UploadQueue:
    """The uploads that wait in one folder. Safe to share between threads; several processes may share the folder."""

    def __init__(self, database: Database, ingester: Ingester, folder: Path) -> None:
        self._database, self._ingester, self._folder = database, ingester, folder

    def accept(self, data: bytes, *, name: str, collection: str, labels: Labels, caller: Caller = OWNER) -> int:
        """Keep an upload to be worked on later, and return the id of its run. It is safe on disk then.

        Raises:
            InvalidInput: as ``Ingester.upload``, as far as that can be told without reading the file.
            StoreUnavailable: the file or the run cannot be kept.
        """
        self._ingester.check_upload(name, collection=collection, labels=labels, caller=caller)
        spooled = self._write(data)
        is_kept = False
        try:
            run_id = self._ingester.begin_upload(
                name=name,
                collection=collection,
                labels=labels,
                caller=caller,
                put=lambda session, run_id: put_upload(
                    session, run_id, spooled, name=name, labels=asdict(labels), caller=caller
                ),
            )
            is_kept = True
        finally:
            if not is_kept:
                self._remove(spooled.spool_file)
        return run_id

    def work(self) -> bool:
        """Work on the upload that has waited longest; returns whether there was one. One process does so at a time.

        Raises:
            StoreUnavailable: the database does not answer; the upload goes on waiting.
        """
        spool = self._spool()
        if self._next(spool) is None:
            return False
        with suppress(Busy), self._database.exclusive(f"uploads-{spool}", wait=False):
            waiting = self._next(spool)
            if waiting is not None:
                self._work_on(waiting)
                return True
        return False

    def remove_leftovers(self) -> None:
        """Remove files that no run is waiting for, unless they are so new that theirs may be about to be committed."""
        with self._database.read() as session:
            needed = waiting_files(session, self._spool())
        for path in self._folder.glob("*.upload*"):
            with suppress(OSError):
                if path.name not in needed and path.stat().st_mtime < time.time() - LEFTOVER_S:
                    path.unlink()

    def _next(self, spool: str) -> WaitingUpload | None:
        with self._database.read() as session:
            return next_upload(session, spool)

    def _work_on(self, waiting: WaitingUpload) -> None:
        with self._database.write() as session:
            is_open = get_run(session, waiting.run_id).status == "running"
            count_attempt(session, waiting.run_id)
        if waiting.num_attempts >= MAX_ATTEMPTS:
            self._fail(waiting, f"The server ended {MAX_ATTEMPTS} times while it worked on this file; split it.")
        elif is_open:
            try:
                self._ingest(waiting)
            except StoreUnavailable:
                with suppress(StoreUnavailable), self._database.write() as session:
                    forgive_attempt(session, waiting.run_id)
                raise
            except RagError as error:
                self._fail(waiting, str(error))
        with self._database.write() as session:
            end_upload(session, waiting.run_id)
        self._remove(waiting.spooled.spool_file)

    def _ingest(self, waiting: WaitingUpload) -> None:
        try:
            data = (self._folder / waiting.spooled.spool_file).read_bytes()
        except OSError as error:
            raise InvalidInput(
                f"The uploaded file cannot be read any more ({error.strerror}); upload it again."
            ) from error
        if bytes_sha256(data) != waiting.spooled.file_sha256:
            raise InvalidInput("The uploaded file was changed on the server's disk; upload it again.")
        given = dict(waiting.labels)
        access_labels = given.pop("access_labels")
        labels = Labels(**given, access_labels=None if access_labels is None else tuple(access_labels))
        self._ingester.go_on_upload(
            waiting.run_id, data, name=waiting.name, collection=waiting.collection, labels=labels
        )

    def _fail(self, waiting: WaitingUpload, reason: str) -> None:
        with self._database.write() as session:
            add_failure(session, waiting.run_id, source=upload_source(waiting.name), reason=reason)
            fail_run(session, waiting.run_id)

    def _write(self, data: bytes) -> SpooledFile:
        name = f"{uuid.uuid4().hex}.upload"
        try:
            spool = self._spool()
            _write_durably(self._folder / name, data)
        except OSError as error:
            raise StoreUnavailable(
                f"The upload cannot be kept in {self._folder} ({error.strerror}); free some space or change data_dir."
            ) from error
        return SpooledFile(spool=spool, spool_file=name, file_sha256=bytes_sha256(data), num_bytes=len(data))

    def _remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def _spool(self) -> str:
        """What the folder is called in SQL: machines that share a database have folders of their own."""
        path = self._folder / SPOOL_NAME
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            mine = path.with_name(f"{uuid.uuid4().hex}.id")
            _write_durably(mine, uuid.uuid4().hex.encode())
            with suppress(FileExistsError):  # another process was faster
                os.link(mine, path)
            mine.unlink()
        return path.read_text(encoding="ascii")


def _write_durably(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    flush(path.parent)
