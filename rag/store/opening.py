"""Opening the database that the settings name, with the keys of its log."""

from sqlalchemy import select

from rag.config import Settings
from rag.errors import InvalidInput
from rag.store.database import Database
from rag.store.encryption import LogCipher, parse_keys
from rag.store.tables import Answer


def open_database(settings: Settings, *, writes_plain: bool = False) -> Database:
    """The database with the keys that the settings have. Nothing is read of it yet.

    ``writes_plain``: the keys are for reading only.

    Raises:
        InvalidInput: ``database_url``, ``log_keys`` or ``log_keys_file`` is wrong.
    """
    words = settings.log_key_words()
    keys = parse_keys(words)
    if settings.log_keys_file is not None and not keys:
        raise InvalidInput(f"log_keys_file: {settings.log_keys_file} holds no key; `rag logs new-key` prints one.")
    cipher = LogCipher(keys, writes_plain=writes_plain)
    return Database(settings.resolved_database_url, busy_timeout=settings.store_timeout_s, cipher=cipher)


def require_keys(database: Database) -> None:
    """Make sure that the newest answer can be read. Without its key, what comes next would be stored unencrypted.

    Raises:
        StoreUnavailable: it is encrypted with a key that the settings lack.
    """
    with database.read() as session:
        session.execute(select(Answer.question).order_by(Answer.id.desc()).limit(1)).all()
