"""The views about what answers rest on: how passages are used, and which questions go without an answer."""

from rag.store.view import View, ViewColumn

PASSAGE_USAGE = View(
    name="passage_usage",
    meaning="One row for each passage that an answer was ever read from; sum over `document_id` for documents.",
    columns=(
        ViewColumn("passage_id", "shown.passage_id", "integer", "The passage; it may be gone from `passages` by now."),
        ViewColumn("document_id", "shown.document_id", "integer", "Its document."),
        ViewColumn("document_version", "shown.document_version", "integer", "The version of the document."),
        ViewColumn("collection", "shown.collection", "text", "The collection that was asked."),
        ViewColumn("title", "max(shown.title)", "text", "The document's title, as logged."),
        ViewColumn("source", "max(shown.source)", "text", "The document's URI, as logged."),
        ViewColumn("origin", "max(shown.origin)", "text", "real or synthetic; synthetic where it was ever that."),
        ViewColumn("num_shown", "count(*)", "integer", "How many answers were read from it."),
        ViewColumn("num_first", "count(CASE WHEN shown.rank = 1 THEN 1 END)", "integer", "How often it stood first."),
        ViewColumn("num_cited", "count(CASE WHEN shown.is_cited THEN 1 END)", "integer", "How many answers cite it."),
        ViewColumn("mean_rank", "avg(CAST(shown.rank AS DOUBLE PRECISION))", "number", "Its mean rank, from 1."),
        ViewColumn("mean_relevance", "avg(shown.relevance_score)", "number", "Its mean relevance to the questions."),
        ViewColumn(
            "num_thumbs_down",
            "count(CASE WHEN shown.is_cited AND shown.last_rating = -1 THEN 1 END)",
            "integer",
            "How many answers cite it whose last feedback is bad.",
        ),
        ViewColumn(
            "num_named_wrong",
            "CAST(sum(shown.num_named_wrong) AS BIGINT)",
            "integer",
            "How often feedback names it as the wrong passage.",
        ),
        ViewColumn("last_shown_at", "max(shown.created_at)", "moment", "When it was last read, UTC."),
    ),
    source="""
FROM (
    SELECT
        answer_passages.passage_id,
        answer_passages.document_id,
        answer_passages.document_version,
        collections.name AS collection,
        answer_passages.title,
        answer_passages.source,
        answer_passages.origin,
        answer_passages.rank,
        answer_passages.relevance_score,
        answers.created_at,
        EXISTS (
            SELECT 1 FROM citations
            WHERE citations.answer_id = answers.id AND citations.passage_id = answer_passages.passage_id
        ) AS is_cited,
        (
            SELECT feedback.rating FROM feedback WHERE feedback.answer_id = answers.id
            ORDER BY feedback.id DESC LIMIT 1
        ) AS last_rating,
        (
            SELECT count(*) FROM feedback
            WHERE feedback.answer_id = answers.id AND feedback.wrong_passage_id = answer_passages.passage_id
        ) AS num_named_wrong
    FROM answer_passages
    JOIN answers ON answers.id = answer_passages.answer_id
    JOIN collections ON collections.id = answers.collection_id
    WHERE answers.evaluation_run_id IS NULL
) AS shown
GROUP BY shown.passage_id, shown.document_id, shown.document_version, shown.collection
""",
)

_ONE_LINE = "replace(replace(replace(answers.question, {character:13}, ' '), {character:10}, ' '), {character:9}, ' ')"
# Each blank becomes a pair of marks; where two pairs meet, the marks between them go; what is left becomes one blank.
_ONE_BLANK = (
    f"replace(replace(replace({_ONE_LINE}, ' ', {{character:1}} || {{character:2}}), "
    "{character:2} || {character:1}, ''), {character:1} || {character:2}, ' ')"
)
NORMALIZED_QUESTION = f"{{lower:trim({_ONE_BLANK}, ' ?!.')}}"

UNANSWERED_QUESTIONS = View(
    name="unanswered_questions",
    meaning="Questions that were withheld, each once: upper and lower case (A to Z), blanks, and ?, ! and . at the "
    "ends make no difference.",
    columns=(
        ViewColumn("collection", "collections.name", "text", "The collection that was asked."),
        ViewColumn("question", "last_asked.question", "text", "The question as it was last asked."),
        ViewColumn("normalized_question", "asked.normalized_question", "text", "What makes it the same question."),
        ViewColumn("num_asked", "asked.num_withheld", "integer", "How often it went without an answer."),
        ViewColumn("num_answered", "asked.num_answered", "integer", "How often the same question was answered."),
        ViewColumn(
            "answered_since",
            "coalesce(asked.last_answered_id > asked.last_withheld_id, FALSE)",
            "boolean",
            "Whether it was answered after it last went without an answer.",
        ),
        ViewColumn("first_asked_at", "asked.first_asked_at", "moment", "When it first went without an answer, UTC."),
        ViewColumn("last_asked_at", "last_asked.created_at", "moment", "When it last did, UTC."),
        ViewColumn("last_answer_id", "last_asked.id", "integer", "The answer of that last time."),
        ViewColumn("best_passage_id", "best.passage_id", "integer", "The passage that came closest then; null: none."),
        ViewColumn("best_title", "best.title", "text", "The title of its document."),
        ViewColumn("best_source", "best.source", "text", "The URI of its document."),
        ViewColumn("best_relevance", "best.relevance_score", "number", "Its relevance, 0 to 1."),
        ViewColumn("best_text", "best.text", "text", "Its words."),
    ),
    source=f"""
FROM (
    SELECT
        normalized.collection_id,
        normalized.normalized_question,
        count(CASE WHEN normalized.abstained THEN 1 END) AS num_withheld,
        count(CASE WHEN NOT normalized.abstained THEN 1 END) AS num_answered,
        min(CASE WHEN normalized.abstained THEN normalized.created_at END) AS first_asked_at,
        max(CASE WHEN normalized.abstained THEN normalized.id END) AS last_withheld_id,
        max(CASE WHEN NOT normalized.abstained THEN normalized.id END) AS last_answered_id
    FROM (
        SELECT
            answers.id,
            answers.collection_id,
            answers.abstained,
            answers.created_at,
            {NORMALIZED_QUESTION} AS normalized_question
        FROM answers
        WHERE answers.evaluation_run_id IS NULL AND answers.question <> ''
    ) AS normalized
    GROUP BY normalized.collection_id, normalized.normalized_question
) AS asked
JOIN answers AS last_asked ON last_asked.id = asked.last_withheld_id
JOIN collections ON collections.id = asked.collection_id
LEFT JOIN answer_passages AS best ON best.answer_id = asked.last_withheld_id AND best.rank = 1
""",  # noqa: S608
)
