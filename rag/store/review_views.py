"""The views about answers: each one flat, their quality by day, the slow ones, and which to look at first."""

from rag.store.view import View, ViewColumn

METRICS = {
    "answerability": "How likely the passages hold an answer at all, 0 to 1.",
    "answer_relevancy": "How close the sentences that the answer was taken from are to the question, 0 to 1.",
    "context_precision": "Whether the useful passages were found first, 0 to 1.",
    "faithfulness": "How far what is cited supports the answer, 0 to 1.",
}
"""The quality scores that are columns of their own, with what they mean; each is null where it was not scored."""

LOW_SCORE = 0.3
"""An answer with a score below it is worth a look."""
SPREAD_OF_DISAGREEMENT = 0.7
"""Two scores of one answer that are so far apart disagree: one says good, the other bad."""
ASKED_OFTEN = 3
"""A question that was asked so often without an answer is no accident."""
SLOW_TIMES_MEDIAN = 2
"""An answer is slow when it took so many times the median."""

_TIMINGS = {
    "embed": "embedding the question",
    "retrieve": "searching",
    "rerank": "ordering the passages anew",
    "read": "reading the passages and writing the answer",
    "score": "the quality scores",
    "total": "all of it",
}
TIMING_COLUMNS = tuple(
    ViewColumn(f"{stage}_ms", f"answers.{stage}_ms", "number", f"Milliseconds of {what}; null where it was not done.")
    for stage, what in _TIMINGS.items()
)


def _last_score(metric: str) -> str:
    """A newer version of a scorer adds values; the one that was written last counts."""
    return f"""(
        SELECT answer_scores.value FROM answer_scores
        WHERE answer_scores.answer_id = answers.id AND answer_scores.metric = '{metric}'
        ORDER BY answer_scores.created_at DESC, answer_scores.scorer DESC, answer_scores.scorer_version DESC
        LIMIT 1
    )"""  # noqa: S608


def _count(table: str, condition: str = "") -> str:
    return f"(SELECT count(*) FROM {table} WHERE {table}.answer_id = answers.id{condition})"  # noqa: S608


_ANSWER_COLUMNS = (
    ViewColumn("created_at", "answers.created_at", "moment", "When it was given, UTC."),
    ViewColumn("collection", "collections.name", "text", "The collection that was asked."),
    ViewColumn("question", "answers.question", "text", "What was asked; empty where it was anonymised."),
    ViewColumn("answer", "answers.answer", "text", "What was answered; empty where it abstained."),
    ViewColumn("abstained", "answers.abstained", "boolean", "Whether the answer was withheld."),
    ViewColumn("confidence", "answers.confidence", "number", "How sure the generator was, 0 to 1."),
)
"""What each view that shows whole answers says of one, beside its id."""

ANSWER_REVIEW = View(
    name="answer_review",
    meaning="One row for each answer that a person asked for, flat.",
    columns=(
        ViewColumn("answer_id", "answers.id", "integer", "The answer's id: `answers.id`."),
        *_ANSWER_COLUMNS,
        *(ViewColumn(metric, _last_score(metric), "number", meaning) for metric, meaning in METRICS.items()),
        ViewColumn("num_citations", _count("citations"), "integer", "How many citations it has."),
        ViewColumn("first_quote", "first_citation.quote", "text", "The words of the first citation; null without one."),
        ViewColumn("first_source", "first_citation.source", "text", "The URI of its document."),
        ViewColumn("first_title", "first_citation.title", "text", "The title of its document."),
        ViewColumn("first_origin", "first_citation.origin", "text", "The origin of its document: real or synthetic."),
        ViewColumn("num_passages", _count("answer_passages"), "integer", "How many passages were read."),
        ViewColumn(
            "num_synthetic_citations",
            _count("citations", " AND citations.origin = 'synthetic'"),
            "integer",
            "Of the citations, those of synthetic documents.",
        ),
        ViewColumn(
            "num_synthetic_passages",
            _count("answer_passages", " AND answer_passages.origin = 'synthetic'"),
            "integer",
            "Of the passages, those of synthetic documents.",
        ),
        ViewColumn("rating", "last_feedback.rating", "integer", "The last feedback: 1 good, -1 bad; null without any."),
        ViewColumn("comment", "last_feedback.comment", "text", "Its comment."),
        ViewColumn("corrected_answer", "last_feedback.corrected_answer", "text", "What it says the answer should be."),
        ViewColumn("wrong_passage_id", "last_feedback.wrong_passage_id", "integer", "The passage that it calls wrong."),
        ViewColumn("is_review", "last_feedback.is_review", "boolean", "Whether it is a reviewer's; null without any."),
        ViewColumn("rated_by", "last_feedback.user_id", "text", "Who gave it."),
        ViewColumn("rated_at", "last_feedback.created_at", "moment", "When it was given, UTC."),
        ViewColumn("num_feedback", _count("feedback"), "integer", "How often feedback was given."),
        ViewColumn(
            "num_thumbs_up",
            _count("feedback", " AND feedback.rating = 1 AND NOT feedback.is_review"),
            "integer",
            "How often an asker said good.",
        ),
        ViewColumn(
            "num_thumbs_down",
            _count("feedback", " AND feedback.rating = -1 AND NOT feedback.is_review"),
            "integer",
            "How often an asker said bad.",
        ),
        ViewColumn(
            "num_reviews", _count("feedback", " AND feedback.is_review"), "integer", "How often a reviewer judged it."
        ),
        ViewColumn("model", "answers.model", "text", "The model that answered."),
        ViewColumn("embedding_model", "answers.embedding_model", "text", "The model that the search embedded with."),
        ViewColumn("dataset", "datasets.name", "text", "The dataset that was just what the collection held, if any."),
        *TIMING_COLUMNS,
    ),
    source="""
FROM answers
JOIN collections ON collections.id = answers.collection_id
LEFT JOIN datasets ON datasets.id = answers.dataset_id
LEFT JOIN citations AS first_citation
    ON first_citation.answer_id = answers.id AND first_citation.ordinal = 1
LEFT JOIN feedback AS last_feedback
    ON last_feedback.id = (SELECT max(feedback.id) FROM feedback WHERE feedback.answer_id = answers.id)
WHERE answers.evaluation_run_id IS NULL
""",
)

_GROUP = "{day:answer_review.created_at}, answer_review.collection, answer_review.model"
# Percentiles by the nearest rank: the smallest value that so many in a hundred do not exceed. SQLite has no function
# for it, and this one is the same on both.
_PERCENTILE = "min(CASE WHEN placed.place = (placed.num_timed * {0} + 99) / 100 THEN placed.total_ms END)"

QUALITY_BY_DAY = View(
    name="quality_by_day",
    meaning="What was asked on each day of UTC, by collection and model, and how well it was answered.",
    columns=(
        ViewColumn("day", "placed.day", "text", "The day, as YYYY-MM-DD."),
        ViewColumn("collection", "placed.collection", "text", "The collection that was asked."),
        ViewColumn("model", "placed.model", "text", "The model that answered."),
        ViewColumn("num_questions", "count(*)", "integer", "How many questions were asked."),
        ViewColumn(
            "num_answered",
            "count(CASE WHEN NOT placed.abstained THEN 1 END)",
            "integer",
            "How many were answered, not withheld.",
        ),
        ViewColumn(
            "answer_rate",
            "avg(CASE WHEN placed.abstained THEN CAST(0 AS DOUBLE PRECISION) ELSE 1 END)",
            "number",
            "The share of them, 0 to 1.",
        ),
        ViewColumn("mean_confidence", "avg(placed.confidence)", "number", "The mean of `confidence`."),
        *(
            ViewColumn(f"mean_{metric}", f"avg(placed.{metric})", "number", f"The mean of `{metric}`, where scored.")
            for metric in METRICS
        ),
        ViewColumn("p50_ms", _PERCENTILE.format(50), "number", "The median of `total_ms`, by the nearest rank."),
        ViewColumn("p95_ms", _PERCENTILE.format(95), "number", "Its 95th percentile, by the nearest rank."),
        ViewColumn(
            "num_thumbs_up", "CAST(sum(placed.num_thumbs_up) AS BIGINT)", "integer", "How often an asker said good."
        ),
        ViewColumn(
            "num_thumbs_down", "CAST(sum(placed.num_thumbs_down) AS BIGINT)", "integer", "How often an asker said bad."
        ),
        ViewColumn(
            "num_reviewed",
            "count(CASE WHEN placed.num_reviews > 0 THEN 1 END)",
            "integer",
            "How many of the answers a reviewer has judged.",
        ),
    ),
    source=f"""
FROM (
    SELECT
        answer_review.collection,
        answer_review.model,
        answer_review.abstained,
        answer_review.confidence,
        {", ".join(f"answer_review.{metric}" for metric in METRICS)},
        answer_review.total_ms,
        answer_review.num_thumbs_up,
        answer_review.num_thumbs_down,
        answer_review.num_reviews,
        {{day:answer_review.created_at}} AS day,
        row_number() OVER (PARTITION BY {_GROUP} ORDER BY answer_review.total_ms NULLS LAST) AS place,
        count(answer_review.total_ms) OVER (PARTITION BY {_GROUP}) AS num_timed
    FROM answer_review
) AS placed
GROUP BY placed.day, placed.collection, placed.model
""",  # noqa: S608
)

SLOW_ANSWERS = View(
    name="slow_answers",
    meaning=f"Answers that took at least {SLOW_TIMES_MEDIAN} times the median of their collection and model.",
    columns=(
        ViewColumn("answer_id", "answers.id", "integer", "The answer's id."),
        ViewColumn("created_at", "answers.created_at", "moment", "When it was given, UTC."),
        ViewColumn("collection", "collections.name", "text", "The collection that was asked."),
        ViewColumn("model", "answers.model", "text", "The model that answered."),
        ViewColumn("question", "answers.question", "text", "What was asked."),
        ViewColumn("num_passages", _count("answer_passages"), "integer", "How many passages were read."),
        *TIMING_COLUMNS,
        ViewColumn("median_ms", "usual.median_ms", "number", "The median of `total_ms` of its collection and model."),
        ViewColumn("times_median", "answers.total_ms / usual.median_ms", "number", "How many times that it took."),
    ),
    first="""WITH placed AS (
    SELECT
        answers.collection_id,
        answers.model,
        answers.total_ms,
        row_number() OVER (PARTITION BY answers.collection_id, answers.model ORDER BY answers.total_ms) AS place,
        count(*) OVER (PARTITION BY answers.collection_id, answers.model) AS num_timed
    FROM answers
    WHERE answers.evaluation_run_id IS NULL AND answers.total_ms IS NOT NULL
)
""",
    source=f"""
FROM answers
JOIN (
    SELECT placed.collection_id, placed.model, placed.total_ms AS median_ms
    FROM placed
    WHERE placed.place = (placed.num_timed + 1) / 2 AND placed.total_ms > 0
) AS usual ON usual.collection_id = answers.collection_id AND usual.model = answers.model
JOIN collections ON collections.id = answers.collection_id
WHERE answers.evaluation_run_id IS NULL AND answers.total_ms >= {SLOW_TIMES_MEDIAN} * usual.median_ms
""",  # noqa: S608
)

_COMPARED = ("confidence", "answer_relevancy", "context_precision", "faithfulness")
_SCORED = ", ".join(f"coalesce(scored.{name}, {{missing}})" for name in _COMPARED)
_LOWEST = "{least:" + _SCORED.replace("{missing}", "1.0") + "}"
_HIGHEST = "{greatest:" + _SCORED.replace("{missing}", "0.0") + "}"
_FLAGS = {
    "thumbs_down": (3, "The last feedback is an asker's, and bad."),
    "asked_often": (2, f"It abstained, and the same question was asked {ASKED_OFTEN} times or more."),
    "low_score": (1, f"It answered, and one of its scores is below {LOW_SCORE}."),
    "scorers_disagree": (1, f"It answered, and two of its scores are {SPREAD_OF_DISAGREEMENT} apart or more."),
}
REASONS = tuple(_FLAGS)
"""Why an answer is in the queue; each is a boolean column of it."""

REVIEW_QUEUE = View(
    name="review_queue",
    meaning="Answers that a reviewer should look at, and why; not those that a reviewer has judged. A question that "
    "was asked often is there once, with its last answer.",
    columns=(
        ViewColumn("answer_id", "queued.answer_id", "integer", "The answer's id."),
        *_ANSWER_COLUMNS,
        ViewColumn("lowest_score", "queued.lowest_score", "number", f"The lowest of {', '.join(_COMPARED)}."),
        ViewColumn("highest_score", "queued.highest_score", "number", "The highest of them."),
        ViewColumn(
            "num_asked",
            "CASE WHEN queued.asked_often THEN (SELECT repeated.num_asked FROM repeated WHERE repeated.last_answer_id ="
            " queued.answer_id) ELSE 0 END",
            "integer",
            "How often the question went without an answer, where that is often; else 0.",
        ),
        ViewColumn("comment", "last_feedback.comment", "text", "The comment of the last feedback."),
        *(ViewColumn(name, f"queued.{name}", "boolean", meaning) for name, (_, meaning) in _FLAGS.items()),
        ViewColumn(
            "priority",
            " + ".join(f"CASE WHEN queued.{name} THEN {weight} ELSE 0 END" for name, (weight, _) in _FLAGS.items()),
            "integer",
            "The highest first: " + ", ".join(f"{weight} for {name}" for name, (weight, _) in _FLAGS.items()) + ".",
        ),
    ),
    # In steps, each made once: else every mention of a score looks it up again, and there are many.
    first=f"""WITH scored AS MATERIALIZED (
    SELECT answer_id, abstained, rating, {", ".join(_COMPARED)} FROM answer_review
    WHERE num_reviews = 0 AND question <> ''
),
ranged AS MATERIALIZED (
    SELECT scored.answer_id, scored.abstained, scored.rating, {_LOWEST} AS lowest_score, {_HIGHEST} AS highest_score
    FROM scored
),
repeated AS MATERIALIZED (
    SELECT last_answer_id, num_asked FROM unanswered_questions
    WHERE NOT answered_since AND num_asked >= {ASKED_OFTEN}
),
queued AS MATERIALIZED (
    SELECT
        ranged.answer_id,
        ranged.lowest_score,
        ranged.highest_score,
        coalesce(ranged.rating = -1, FALSE) AS thumbs_down,
        ranged.answer_id IN (SELECT repeated.last_answer_id FROM repeated) AS asked_often,
        NOT ranged.abstained AND ranged.lowest_score < {LOW_SCORE} AS low_score,
        NOT ranged.abstained AND ranged.highest_score - ranged.lowest_score >= {SPREAD_OF_DISAGREEMENT}
            AS scorers_disagree
    FROM ranged
)
""",  # noqa: S608
    source="""
FROM queued
JOIN answers ON answers.id = queued.answer_id
JOIN collections ON collections.id = answers.collection_id
LEFT JOIN feedback AS last_feedback
    ON last_feedback.id = (SELECT max(feedback.id) FROM feedback WHERE feedback.answer_id = answers.id)
WHERE queued.thumbs_down OR queued.asked_often OR queued.low_score OR queued.scorers_disagree
""",
)
