"""The column types that behave the same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from rag.errors import InvalidInput

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
BigInt = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite has no time zones: there the text of the UTC moment is kept and the zone put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC. A moment without a time zone is a mistake of the calling code, hence ``ValueError``."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Always with the zone UTC, whatever zone the session of the database has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text that both databases keep unchanged.

    PostgreSQL cannot store NUL and many SQLite tools stop reading at it; neither can store half of a surrogate pair.
    """

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """The text itself.

        Raises:
            InvalidInput: the text holds one of those characters.
        """
        if value is not None:
            check_plain_text(value)
        return value


def check_plain_text(value: str) -> None:
    """Refuse characters that cannot be stored.

    Raises:
        InvalidInput: the text holds NUL or half of a surrogate pair.
    """
    if "\x00" in value:
        raise InvalidInput("The text holds a NUL character, which cannot be stored; remove it.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"The text holds half of a surrogate pair (character {error.start}), which cannot be stored; remove it."
            ) from error
