"""The view ``answer_review``: one flat row per answer, for people who review them with SQL.

Answers of evaluations are left out. Rating, comment and corrected answer are those of the last feedback; of several
scorers' values for one metric, the one written last.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW answer_review AS
SELECT
    answers.id AS answer_id,
    answers.created_at AS created_at,
    collections.name AS collection,
    answers.question AS question,
    answers.answer AS answer,
    answers.abstained AS abstained,
    answers.confidence AS confidence,
    (SELECT count(*) FROM citations WHERE citations.answer_id = answers.id) AS num_citations,
    first_citation.quote AS first_quote,
    first_citation.source AS first_source,
    first_citation.title AS first_title,
    (SELECT count(*) FROM answer_passages WHERE answer_passages.answer_id = answers.id) AS num_passages,
    (
        SELECT answer_scores.value FROM answer_scores
        WHERE answer_scores.answer_id = answers.id AND answer_scores.metric = 'answer_relevancy'
        ORDER BY answer_scores.created_at DESC, answer_scores.scorer DESC, answer_scores.scorer_version DESC
        LIMIT 1
    ) AS answer_relevancy,
    (
        SELECT answer_scores.value FROM answer_scores
        WHERE answer_scores.answer_id = answers.id AND answer_scores.metric = 'context_precision'
        ORDER BY answer_scores.created_at DESC, answer_scores.scorer DESC, answer_scores.scorer_version DESC
        LIMIT 1
    ) AS context_precision,
    last_feedback.rating AS rating,
    (SELECT count(*) FROM feedback WHERE feedback.answer_id = answers.id) AS num_feedback,
    last_feedback.comment AS comment,
    last_feedback.corrected_answer AS corrected_answer,
    answers.model AS model,
    answers.total_ms AS total_ms
FROM answers
JOIN collections ON collections.id = answers.collection_id
LEFT JOIN citations AS first_citation
    ON first_citation.answer_id = answers.id AND first_citation.ordinal = 1
LEFT JOIN feedback AS last_feedback
    ON last_feedback.id = (SELECT max(feedback.id) FROM feedback WHERE feedback.answer_id = answers.id)
WHERE answers.evaluation_run_id IS NULL
"""


def upgrade() -> None:
    """Make the view."""
    op.execute(VIEW)


def downgrade() -> None:
    """Drop the view."""
    op.execute("DROP VIEW answer_review")
