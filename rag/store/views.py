"""The views that people review answers with: the same columns, meaning the same, on SQLite and on PostgreSQL.

Answers of evaluations are in none of them. ``docs/sql.md`` is written from here. SQLite refuses to alter a table that
a view names, so a migration that alters one drops the views first and makes them again::

    drop_views(op.execute)
    op.add_column("answers", …)
    create_views(op.execute, op.get_context().dialect.name, answer_columns=("user_id",))

``answer_columns`` are the columns of ``answers`` that came after these views and stand there after that migration;
``LATER_COLUMNS`` says what they mean, and ``ANSWER_COLUMNS`` which of them the newest migration leaves.
"""

from collections.abc import Callable, Sequence

from rag.store.review_views import ANSWER_REVIEW, QUALITY_BY_DAY, REVIEW_QUEUE, SLOW_ANSWERS
from rag.store.usage_views import PASSAGE_USAGE, UNANSWERED_QUESTIONS
from rag.store.view import View, ViewColumn

LATER_COLUMNS = {
    "user_id": ViewColumn("user_id", "answers.user_id", "text", "Who asked."),
    "conversation_id": ViewColumn("conversation_id", "answers.conversation_id", "integer", "The conversation."),
    "previous_answer_id": ViewColumn(
        "previous_answer_id", "answers.previous_answer_id", "integer", "The answer before it in its conversation."
    ),
    "standalone_question": ViewColumn(
        "standalone_question", "answers.standalone_question", "text", "The question as it was searched for."
    ),
}
"""Columns of ``answer_review`` that need columns of ``answers`` that not every revision has."""

ANSWER_COLUMNS = ("user_id", "conversation_id", "previous_answer_id", "standalone_question")
"""Those of ``LATER_COLUMNS`` that the newest migration leaves."""

VIEWS: tuple[View, ...] = (
    ANSWER_REVIEW,
    QUALITY_BY_DAY,
    PASSAGE_USAGE,
    UNANSWERED_QUESTIONS,
    SLOW_ANSWERS,
    REVIEW_QUEUE,
)
"""Each needs only those before it."""

READER_ROLE = "rag_reader"
"""The role of PostgreSQL that may read what ``rag sql`` may; see ``rag.store.reader_role``."""

_GRANT_AGAIN = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}' AND has_table_privilege(oid, 'answers', 'SELECT')) THEN
        GRANT SELECT ON {views} TO {role};
    END IF;
END $$
"""


def columns_of(view: View, answer_columns: Sequence[str] = ANSWER_COLUMNS) -> tuple[ViewColumn, ...]:
    """All columns of a view, in their order."""
    return (*view.columns, *_later_columns(view, answer_columns))


def view_definitions(dialect: str, answer_columns: Sequence[str] = ANSWER_COLUMNS) -> dict[str, str]:
    """The statement that makes each view, by its name, in an order in which they can be run."""
    return {view.name: view.definition(dialect, _later_columns(view, answer_columns)) for view in VIEWS}


def create_views(
    execute: Callable[[str], object], dialect: str, answer_columns: Sequence[str] = ANSWER_COLUMNS
) -> None:
    """Make the views, with ``execute`` to run a statement. A role that could read them before can read them again."""
    definitions = view_definitions(dialect, answer_columns)
    for definition in definitions.values():
        execute(definition)
    if dialect == "postgresql":
        execute(_GRANT_AGAIN.format(role=READER_ROLE, views=", ".join(definitions)))


def drop_views(execute: Callable[[str], object]) -> None:
    """Drop the views; ``create_views`` makes them again."""
    for view in reversed(VIEWS):
        execute(f"DROP VIEW IF EXISTS {view.name}")


def _later_columns(view: View, answer_columns: Sequence[str]) -> tuple[ViewColumn, ...]:
    return tuple(LATER_COLUMNS[name] for name in answer_columns) if view is ANSWER_REVIEW else ()
