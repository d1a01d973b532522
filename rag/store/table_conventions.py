"""What all tables share: types of columns, names of constraints, and ids that are never used twice."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, cast

from sqlalchemy import JSON, Boolean, Double, LargeBinary, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, mapped_column

from rag.store.column_types import BigInt, PlainText, UtcDateTime

Id = Annotated[int, mapped_column(primary_key=True)]

NEVER_REUSE_IDS = {"sqlite_autoincrement": True}

WITHOUT_ROWID = {"sqlite_with_rowid": False}
"""For a table that is all key: SQLite then keeps it once, in the order of the key."""


class Base(DeclarativeBase):
    """Types and constraint names that all tables share; names are explicit so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInt,
        str: PlainText(),
        float: Double(),
        bool: Boolean(),
        bytes: LargeBinary(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        dict[str, str]: JSON(),
        list[str]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


def table_of(row: type[Base]) -> Table:
    """The table of a class of rows: where many are written, to insert into it takes half as long as into the class."""
    return cast(Table, row.__table__)
