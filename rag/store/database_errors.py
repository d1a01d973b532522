"""What a database's own error means for the person who reads it: one sentence that names what to change.

Broken constraints are not translated: they are faults of the calling code.
"""

from sqlalchemy.exc import DataError, DBAPIError

from rag.errors import InvalidInput, RagError, StoreUnavailable

NOT_MIGRATED = "The database {name} lacks tables that this program needs; run `rag db upgrade`."
LOCKED = "The database {name} is locked by another process; try again when that has finished."
READ_ONLY = "The database {name} is read-only; make it writable, or name another one in database_url."
CANNOT_OPEN = "The database {name} cannot be opened; check that the path is a file this user may read and write."
DISK_FULL = "The disk that holds the database {name} is full; free some space and try again."
DISK_ERROR = "The disk that holds the database {name} gives errors ({reason}); check the disk."
DAMAGED = "The database {name} is damaged or not a database ({reason}); restore a backup, or name another one."
CANNOT_CONNECT = "The database {name} does not answer ({reason}); check that it runs and that database_url is right."
REFUSED = "The database {name} refuses this user ({reason}); check database_url and the user's rights."
SLOW = "The database {name} takes too long; try again, or raise the limit (setting: store_timeout_s)."
DEADLOCK = "Two writers of the database {name} stood in each other's way; try again."

# Result codes: https://www.sqlite.org/rescode.html. An extended code begins with the name of its primary code.
SQLITE_MESSAGES = {
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_CANTOPEN": CANNOT_OPEN,
    "SQLITE_PERM": CANNOT_OPEN,
    "SQLITE_AUTH": CANNOT_OPEN,
    "SQLITE_FULL": DISK_FULL,
    "SQLITE_IOERR": DISK_ERROR,
    "SQLITE_NOTADB": DAMAGED,
    "SQLITE_CORRUPT": DAMAGED,
}

# Error codes: appendix A of PostgreSQL's manual. The first two characters are the class of the error.
POSTGRESQL_MESSAGES = {
    "42P01": NOT_MIGRATED,  # undefined table
    "42703": NOT_MIGRATED,  # undefined column
    "25006": READ_ONLY,
    "53100": DISK_FULL,
    "55P03": LOCKED,
    "57014": SLOW,
    "40P01": DEADLOCK,
    "40001": DEADLOCK,
    "42501": REFUSED,
    "58030": DISK_ERROR,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
    "08": CANNOT_CONNECT,
    "53": CANNOT_CONNECT,  # too many connections, out of memory
    "57P": CANNOT_CONNECT,  # shutting down or starting up
}


def translate(error: BaseException, *, sqlalchemy_error: BaseException | None, name: str) -> RagError | None:
    """The error to raise in place of the database driver's ``error``; None when it has no better words.

    ``name`` is how messages call the database. It must hold no password.
    """
    if isinstance(error, RagError):
        return error  # a column type has refused a value
    if isinstance(error, OverflowError):
        return InvalidInput("A number is too large for the database; numbers have at most 64 bits.")
    if isinstance(error, UnicodeEncodeError):
        return InvalidInput("The text holds half of a surrogate pair, which cannot be stored; remove it.")
    if not isinstance(sqlalchemy_error, DBAPIError):
        return None
    reason = next(iter(str(error).splitlines()), "no reason given").strip().rstrip(".")
    if isinstance(sqlalchemy_error, DataError) or getattr(error, "sqlstate", None) == "54000":  # program limit exceeded
        return InvalidInput(f"A value does not fit the database: {reason}.")
    message = _sqlite_message(error) or _postgresql_message(error, sqlalchemy_error)
    return StoreUnavailable(message.format(name=name, reason=reason)) if message else None


def _sqlite_message(error: BaseException) -> str | None:
    code: str = getattr(error, "sqlite_errorname", "")
    if code == "SQLITE_ERROR" and ("no such table" in str(error) or "no such column" in str(error)):
        return NOT_MIGRATED
    return SQLITE_MESSAGES.get("_".join(code.split("_")[:2]))


def _postgresql_message(error: BaseException, sqlalchemy_error: DBAPIError) -> str | None:
    code: str | None = getattr(error, "sqlstate", None)
    if code is not None:
        for length in (5, 3, 2):
            if message := POSTGRESQL_MESSAGES.get(code[:length]):
                return message
        return None
    # The server has no part in these, so they carry no code: refused connections, lost ones, unknown hosts.
    if type(error).__module__.startswith("psycopg") and type(error).__name__ == "OperationalError":
        return CANNOT_CONNECT
    return CANNOT_CONNECT if sqlalchemy_error.connection_invalidated else None
