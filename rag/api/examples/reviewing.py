"""Examples of reviewing, usage, evaluations and replays."""

from typing import Any

from rag.api.examples.library import ANSWER, HIT, MOMENT, QUESTION, SHA256

QUEUED: dict[str, Any] = {
    "answer_id": 7,
    "created_at": MOMENT,
    "collection": "default",
    "question": QUESTION,
    "answer": ANSWER,
    "abstained": False,
    "confidence": 0.41,
    "lowest_score": 0.22,
    "highest_score": 0.83,
    "num_asked": 0,
    "comment": None,
    "priority": 2,
    "reasons": ["low_score"],
}
AGREEMENT = {
    "reviewer": "amara",
    "other_reviewer": "bo",
    "num_answers": 40,
    "num_both_good": 28,
    "num_both_bad": 8,
    "num_only_reviewer_good": 3,
    "num_only_other_good": 1,
    "observed": 0.9,
    "expected": 0.62,
    "kappa": 0.74,
}
DAY = {
    "day": "2025-06-30",
    "collection": "default",
    "model": "reader",
    "num_questions": 120,
    "num_answered": 102,
    "answer_rate": 0.85,
    "mean_confidence": 0.71,
    "mean_answerability": 0.86,
    "mean_answer_relevancy": 0.58,
    "mean_context_precision": 0.9,
    "mean_faithfulness": 0.77,
    "p50_ms": 95.0,
    "p95_ms": 210.0,
    "num_thumbs_up": 14,
    "num_thumbs_down": 2,
    "num_reviewed": 5,
}
DRIFT = {
    "measure": "answer_rate",
    "test": "two-proportion z",
    "num_before": 110,
    "num_after": 120,
    "before": 0.84,
    "after": 0.85,
    "statistic": 0.21,
    "effect": 0.01,
    "p_value": 0.83,
    "adjusted_p_value": 1.0,
    "drifted": False,
}
EVALUATION = {
    "id": 2,
    "file": "questions.json",
    "file_sha256": SHA256,
    "collection_id": 1,
    "settings": {"model": "reader"},
    "metrics": {"num_questions": 50, "exact_match": 0.8, "f1": 0.86},
    "started_at": MOMENT,
    "finished_at": MOMENT,
}
COMPARISON = {
    "a": {**EVALUATION, "id": 1},
    "b": EVALUATION,
    "num_questions": 50,
    "num_same": 48,
    "num_better": 1,
    "num_worse": 1,
    "changed": {"top_k": [8, 4]},
    "figures": [
        {
            "name": "f1",
            "a": 0.85,
            "b": 0.86,
            "difference": 0.01,
            "low": -0.02,
            "high": 0.04,
            "p_value": 0.51,
            "test": "paired bootstrap",
            "is_significant": False,
        }
    ],
    "better": [
        {
            "question_id": "q-17",
            "question": QUESTION,
            "reference_answers": [ANSWER],
            "prediction_a": "",
            "prediction_b": ANSWER,
            "f1_a": 0.0,
            "f1_b": 1.0,
            "answer_id_a": 17,
            "answer_id_b": 67,
        }
    ],
    "worse": [],
    "slices": [
        {
            "dimension": "kind",
            "value": "who",
            "num_questions": 12,
            "f1_a": 0.81,
            "f1_b": 0.9,
            "difference": 0.09,
            "difference_low": -0.01,
            "difference_high": 0.2,
            "difference_p": 0.2,
            "rest_f1_b": 0.85,
            "behind_rest": -0.05,
            "behind_rest_p": 1.0,
        }
    ],
}
REPLAY = {
    "answer_id": 7,
    "question": QUESTION,
    "same": False,
    "same_passages": False,
    "answer_then": ANSWER,
    "answer": "Bo Ling",
    "abstained_then": False,
    "abstained": False,
    "confidence_then": 0.93,
    "confidence": 0.9,
    "word_changes": [{"change": "removed", "words": ANSWER}, {"change": "added", "words": "Bo Ling"}],
    "passages_entered": [HIT],
    "passages_left": [{"hit": HIT, "source_state": "changed"}],
    "changed": {"index_change_id": [12, 19]},
    "other_hardware": False,
    "reasons": ["The document upload:support.md has been changed since."],
}

RESPONSES: dict[str, dict[str, Any]] = {
    "GET /v1/review-queue": {"200": {"answers": [QUEUED], "next": None}},
    "GET /v1/review-agreement": {"200": {"agreements": [AGREEMENT]}},
    "GET /v1/usage": {
        "200": {
            "first": "2025-06-30",
            "last": "2025-06-30",
            "first_before": "2025-06-29",
            "last_before": "2025-06-29",
            "days": [DAY],
            "drift": [DRIFT],
        }
    },
    "GET /v1/evaluation-runs": {"200": {"evaluation_runs": [EVALUATION], "next": None}},
    "GET /v1/evaluation-runs/{run_id}": {"200": EVALUATION},
    "GET /v1/evaluation-runs/compare": {"200": COMPARISON},
    "POST /v1/answers/{answer_id}/replay": {"200": REPLAY},
}
