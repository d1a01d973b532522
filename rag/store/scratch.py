"""A database of its own for what is only tried out, on the disk so that it may grow, and gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL

from rag.disk import TemporaryFolder
from rag.errors import StoreUnavailable
from rag.store.database import Database
from rag.store.tables import Base


@contextmanager
def scratch_database() -> Iterator[Database]:
    """An empty SQLite database with all tables in the system's temporary folder.

    Raises:
        StoreUnavailable: nothing can be written there.
    """
    try:
        folder = TemporaryFolder("rag-scratch-")
    except OSError as error:
        raise StoreUnavailable(
            f"No temporary folder can be made ({error.strerror}); set TMPDIR to a folder that can be written."
        ) from error
    with folder:
        database = Database(URL.create("sqlite", database=str(folder.path / "scratch.db")).render_as_string())
        try:
            with database.migrate() as connection:
                Base.metadata.create_all(connection)
            yield database
        finally:
            database.dispose()
