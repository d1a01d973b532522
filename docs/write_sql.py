"""Writes docs/sql.md, with the output of its queries over the log of docs/review_log.py: python docs/write_sql.py"""

import tempfile
from pathlib import Path

from log_tables import LOG_TABLES, REGISTRY_TABLES
from review_log import fill

from rag.store import migrate, views
from rag.store.database import Database
from rag.store.sql_console import QueryResult, run_query
from rag.store.tables import Base

PAGE = Path(__file__).parent / "sql.md"
QUERIES: tuple[tuple[str, str], ...] = (
    (
        "What was asked last?",
        """SELECT created_at, question, answer, confidence, first_title
FROM answer_review ORDER BY answer_id DESC LIMIT 5""",
    ),
    (
        "Which answers do people call bad, and what should they have said?",
        """SELECT answer_id, question, answer, corrected_answer, comment
FROM answer_review WHERE rating = -1 ORDER BY answer_id""",
    ),
    (
        "What do people ask that the documents do not answer?",
        """SELECT question, num_asked, last_asked_at, best_title, best_relevance
FROM unanswered_questions WHERE NOT answered_since ORDER BY num_asked DESC, last_answer_id DESC""",
    ),
    (
        "How good was each day?",
        """SELECT day, collection, model, num_questions, answer_rate, mean_confidence, num_thumbs_up, num_thumbs_down
FROM quality_by_day ORDER BY day, collection, model""",
    ),
    (
        "Does the new model answer better?",
        """SELECT model, count(*) AS num_questions, avg(CASE WHEN abstained THEN 0.0 ELSE 1.0 END) AS answer_rate,
    avg(faithfulness) AS mean_faithfulness, avg(total_ms) AS mean_ms
FROM answer_review GROUP BY model ORDER BY model""",
    ),
    (
        "Which models of the registry answered?",
        """SELECT models.name, models.version, count(*) AS num_answers, avg(answers.confidence) AS mean_confidence
FROM answers JOIN model_files ON model_files.sha256 = answers.model_sha256 JOIN models ON models.id = model_files.model_id
WHERE answers.evaluation_run_id IS NULL GROUP BY models.name, models.version ORDER BY models.name, models.version""",
    ),
    (
        "Which answers look sure and are not supported by what they cite?",
        """SELECT answer_id, question, answer, confidence, faithfulness, first_quote
FROM answer_review WHERE confidence >= 0.8 AND faithfulness < 0.5 ORDER BY faithfulness""",
    ),
    (
        "What is to be looked at first, and why?",
        """SELECT answer_id, priority, question, thumbs_down, asked_often, low_score, scorers_disagree
FROM review_queue ORDER BY priority DESC, answer_id DESC""",
    ),
    (
        "Is a high confidence right more often?",
        """SELECT CASE WHEN confidence >= 0.9 THEN '0.9 to 1' WHEN confidence >= 0.6 THEN '0.6 to 0.9'
    ELSE 'below 0.6' END AS confident, count(*) AS num_rated,
    avg(CASE WHEN rating = 1 THEN 1.0 ELSE 0.0 END) AS share_good
FROM answer_review WHERE rating IS NOT NULL AND NOT abstained GROUP BY 1 ORDER BY min(confidence)""",
    ),
    (
        "Which passages are read and never cited?",
        """SELECT passage_id, title, num_shown, mean_rank, mean_relevance
FROM passage_usage WHERE num_cited = 0 ORDER BY num_shown DESC, passage_id""",
    ),
    (
        "Which documents mislead?",
        """SELECT document_id, max(title) AS title, sum(num_cited) AS num_cited, sum(num_thumbs_down) AS num_thumbs_down,
    sum(num_named_wrong) AS num_named_wrong
FROM passage_usage GROUP BY document_id HAVING sum(num_thumbs_down) + sum(num_named_wrong) > 0
ORDER BY 4 DESC, 1""",
    ),
    (
        "Which answers were slow, and in which stage?",
        """SELECT answer_id, question, total_ms, median_ms, times_median, retrieve_ms, rerank_ms, read_ms
FROM slow_answers ORDER BY times_median DESC""",
    ),
    (
        "Does it get slower?",
        """SELECT day, p50_ms, p95_ms FROM quality_by_day WHERE collection = 'handbook' ORDER BY day""",
    ),
    (
        "Who reviewed how much, and how strictly?",
        """SELECT user_id, count(*) AS num_reviews, avg(CASE WHEN rating = 1 THEN 1.0 ELSE 0.0 END) AS share_good
FROM feedback WHERE is_review GROUP BY user_id ORDER BY user_id""",
    ),
    (
        "On which answers do two reviewers differ?",
        """SELECT answer_id, count(*) AS num_reviews, min(rating) AS lowest, max(rating) AS highest
FROM feedback WHERE is_review GROUP BY answer_id HAVING min(rating) <> max(rating) ORDER BY answer_id""",
    ),
    (
        "Which answers rest on synthetic documents?",
        """SELECT answer_id, question, answer, first_title, num_synthetic_citations
FROM answer_review WHERE num_synthetic_citations > 0 ORDER BY answer_id""",
    ),
    (
        "Did the scores fall from one week to the next?",
        """SELECT CASE WHEN created_at < '2025-06-09 00:00:00' THEN 'first week' ELSE 'second week' END AS week,
    count(*) AS num_questions, avg(answer_relevancy) AS mean_relevancy, avg(faithfulness) AS mean_faithfulness
FROM answer_review GROUP BY 1 ORDER BY 1""",
    ),
    (
        "What was an answer read from, and why these passages?",
        """SELECT rank, title, keyword_score, vector_score, fused_score, relevance_score
FROM answer_passages WHERE answer_id = 8 ORDER BY rank""",
    ),
    (
        "Which questions are asked again and again?",
        """SELECT lower(question) AS question, count(*) AS num_asked, count(DISTINCT answer) AS num_different_answers
FROM answer_review WHERE NOT abstained GROUP BY 1 HAVING count(*) > 1 ORDER BY 3 DESC, min(answer_id)""",
    ),
)
"""What reviewers ask, and the query for it. Each runs on SQLite and on PostgreSQL, with the same result."""

HEAD = """# Reviewing with SQL

<!-- Written by docs/write_sql.py: change that, not this page. -->

Everything that was asked, read, answered and said of it stands in plain tables, and in views over them. Any client can query them; without one there is `rag sql`:

```sh
rag sql                                                        # what can be read, column by column
rag sql "SELECT question, answer FROM answer_review WHERE rating = -1"
rag sql "SELECT * FROM quality_by_day" --format csv > quality.csv
```

`rag sql` takes one SELECT. It cannot write; it shows the first 100 rows (`--limit`) and gives up after 30 seconds (`--timeout`); `--format` is `table`, `csv` or `json`.
It prints the same for both databases: moments as text in UTC, true and false as 1 and 0, bytes as hex digits. Tables that hold secrets are kept back, and so are the bytes of models: on SQLite an authorizer refuses
them, through views and subqueries as well; on PostgreSQL the plan of the query is looked through before it runs, and functions that could go around that are refused.

On PostgreSQL, people with a client of their own can be given the role `rag_reader`, which can read these tables and views and do nothing else. The server holds to that, so it is
the stronger of the two. `rag sql` is not for it, since that writes down who queried what. `rag db reader-role` makes it, and again after an upgrade lets it read what is new; then, as its owner:

```sql
ALTER ROLE rag_reader LOGIN PASSWORD '…';
```

The views are the same on SQLite and PostgreSQL, and so is what they mean. Answers of evaluations are in none of them. Where the log is encrypted, SQL sees
ciphertext in the columns of words, and what compares words finds nothing ([what that turns off](security.md#encryption-of-the-log)); an anonymised answer has an empty question. The last value of a metric and the last feedback count.
Days are days of UTC. Percentiles are by the nearest rank: the smallest value that so many in a hundred do not exceed. All the columns of a view or a table are listed
[at the end](#views).

Beside SQL: `rag answers queue` shows what to look at first, `rag answers agreement` how far reviewers agree, `rag usage` the same as `quality_by_day` with what has changed between
two periods, and `rag export training` writes what was reviewed as training data. `examples/review.ipynb` draws plots from the views.

## Questions and queries

The output is that of a small made-up log (`docs/review_log.py`); numbers are shortened to six digits.
"""


def results(database: Database) -> list[QueryResult]:
    """What each of ``QUERIES`` gives."""
    return [run_query(database, query) for _, query in QUERIES]


def page() -> str:
    """The page, its output made anew."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/rag.db")
        migrate.upgrade(database)
        fill(database)
        parts = [HEAD]
        for (question, query), found in zip(QUERIES, results(database), strict=True):
            parts.append(f"### {question}\n\n```sql\n{query};\n```\n\n{_table(found.columns, found.rows)}")
        database.dispose()
    parts.append("## Views\n")
    for view in views.VIEWS:
        rows = [(f"`{c.name}`", c.kind, c.meaning) for c in views.columns_of(view)]
        parts.append(f"### {view.name}\n\n{view.meaning}\n\n{_table(('column', 'type', 'meaning'), rows)}")
    for heading, tables in (("Tables of the log", LOG_TABLES), ("Tables of the model registry", REGISTRY_TABLES)):
        parts.append(f"## {heading}\n")
        for name, (meaning, meanings) in tables.items():
            rows = [(f"`{column.name}`", meanings[column.name]) for column in Base.metadata.tables[name].columns]
            parts.append(f"### {name}\n\n{meaning}\n\n{_table(('column', 'meaning'), rows)}")
    return "\n".join(parts)


def _table(columns: tuple[str, ...], rows: object) -> str:
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(cell: object) -> str:
    shown = f"{cell:.6g}" if isinstance(cell, float) else "" if cell is None else str(cell)
    return shown.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
