"""Examples of questions, answers and documents."""

import json
from typing import Any

MOMENT = "2025-06-30T16:00:00Z"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
QUESTION, ANSWER = "Who keeps the support rota?", "Amara Diallo"
SOURCE, TEXT = "upload:support.md", "The support rota is kept by Amara Diallo."
PLACE: dict[str, Any] = {"page": None, "row": None}

PROBLEM: dict[str, Any] = {
    "type": "urn:rag:problem:invalid-input",
    "title": "The input is not valid",
    "status": 422,
    "detail": "A sentence that says what to change.",
    "instance": "/v1/answers",
    "request_id": "5f0c1f2f8f7e4c0c9b0a6c1d2e3f4a5b",
}
CITATION = {
    "document_id": 1,
    "document_version": 1,
    "passage_id": 1,
    "title": "Support",
    "source": SOURCE,
    "origin": "real",
    **PLACE,
    "start": 28,
    "end": 40,
    "quote": ANSWER,
}
HIT = {
    "id": 1,
    "document_id": 1,
    "document_version": 1,
    "title": "Support",
    "source": SOURCE,
    "origin": "real",
    "headings": ["Support"],
    **PLACE,
    "start": 0,
    "end": 41,
    "text": TEXT,
    "scores": {
        "keyword": 2.1,
        "vector": 0.71,
        "fused": 1.0,
        "relevance": 0.99,
        "keyword_rank": 1,
        "vector_rank": 1,
    },
    "near_duplicate_of": None,
    "also_in": [],
}
ASKED = {
    "id": 7,
    "question": QUESTION,
    "collection": "default",
    "answer": ANSWER,
    "abstained": False,
    "confidence": 0.93,
    "confidence_kind": "probability",
    "citations": [CITATION],
    "spans": [{"answer_start": 0, "answer_end": 12, "citation": 0, "start": 28, "end": 40}],
    "unsupported": [],
    "passages": [HIT],
    "scores": {"confidence": 0.93},
    "timings_ms": {"embed": 4.2, "retrieve": 3.1, "read": 80.5, "score": 1.0, "total": 88.8},
    "model": "reader",
    "notes": [],
    "conversation_id": None,
    "standalone_question": None,
    "previous_answer_id": None,
    "based_on_answer_id": None,
    "masked": [],
    "created_at": MOMENT,
}
FEEDBACK = {
    "id": 3,
    "answer_id": 7,
    "rating": 1,
    "comment": "Right.",
    "corrected_answer": None,
    "wrong_passage_id": None,
    "is_review": False,
    "user_id": "amara",
    "created_at": MOMENT,
}
LOGGED = {
    **ASKED,
    "collection_id": 1,
    "model_sha256": SHA256,
    "embedding_model": "all-MiniLM-L6-v2",
    "index_change_id": 12,
    "settings": {"top_k": 8, "filters": {}},
    "dataset_id": None,
    "dataset": None,
    "evaluation_run_id": None,
    "user_id": "amara",
    "all_scores": [{"metric": "confidence", "value": 0.93, "scorer": "rag", "scorer_version": "1"}],
    "feedback": [FEEDBACK],
}
SUMMARY = {
    "answer_id": 7,
    "created_at": MOMENT,
    "collection": "default",
    "question": QUESTION,
    "answer": ANSWER,
    "abstained": False,
    "confidence": 0.93,
    "answerability": 0.97,
    "answer_relevancy": 0.6,
    "context_precision": 1.0,
    "faithfulness": 0.9,
    "num_citations": 1,
    "first_quote": ANSWER,
    "first_source": SOURCE,
    "first_title": "Support",
    "first_origin": "real",
    "num_passages": 8,
    "num_synthetic_citations": 0,
    "num_synthetic_passages": 0,
    "rating": 1,
    "comment": "Right.",
    "corrected_answer": None,
    "wrong_passage_id": None,
    "is_review": False,
    "rated_by": "amara",
    "rated_at": MOMENT,
    "num_feedback": 1,
    "num_thumbs_up": 1,
    "num_thumbs_down": 0,
    "num_reviews": 0,
    "model": "reader",
    "embedding_model": "all-MiniLM-L6-v2",
    "dataset": None,
    "embed_ms": 4.2,
    "retrieve_ms": 3.1,
    "rerank_ms": 20.0,
    "read_ms": 60.5,
    "score_ms": 1.0,
    "total_ms": 88.8,
}
DOCUMENT = {
    "id": 1,
    "collection": "default",
    "source": SOURCE,
    "file": SOURCE,
    "title": "Support",
    "media_type": "text/markdown",
    "origin": "real",
    "access_labels": [],
    "tags": {"team": "ops"},
    "metadata": {},
    "version": 1,
    "text_sha256": SHA256,
    "duplicate_of": None,
    "near_duplicate_of": None,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "deleted_at": None,
}
VERSION = {"version": 1, "title": "Support", "text_sha256": SHA256, "num_chars": 41, "created_at": MOMENT}
COLLECTION = {
    "name": "default",
    "embedding_model": "all-MiniLM-L6-v2",
    "num_documents": 412,
    "num_real": 400,
    "num_synthetic": 12,
    "num_passages": 5120,
    "created_at": MOMENT,
}
DATASET = {
    "id": 3,
    "collection": "default",
    "name": "2025-06",
    "note": None,
    "index_change_id": 5120,
    "num_documents": 412,
    "num_real": 400,
    "num_synthetic": 12,
    "num_erased": 0,
    "sha256": SHA256,
    "created_at": MOMENT,
}
RUN = {
    "id": 5,
    "collection": "default",
    "paths": [SOURCE],
    "status": "finished",
    "num_added": 1,
    "num_updated": 0,
    "num_unchanged": 0,
    "num_exact_duplicates": 0,
    "num_near_duplicates": 0,
    "num_refused": 0,
    "num_removed": 0,
    "num_moved": 0,
    "num_passages": 3,
    "num_passages_reused": 0,
    "started_at": MOMENT,
    "finished_at": MOMENT,
}

REQUESTS: dict[str, Any] = {
    "POST /v1/documents": {
        "file": "# Support\n\nThe support rota is kept by Amara Diallo.",
        "collection": "default",
        "tags": ["team=ops"],
        "origin": "real",
    },
}
RESPONSES: dict[str, dict[str, Any]] = {
    "POST /v1/answers": {
        "200": ASKED,
        "200 text/event-stream": (
            f'event: token\ndata: {{"text": "{ANSWER}"}}\n\nevent: answer\ndata: {json.dumps(ASKED)}\n\n'
        ),
    },
    "GET /v1/answers": {"200": {"answers": [SUMMARY], "next": None}},
    "GET /v1/answers/{answer_id}": {"200": LOGGED},
    "POST /v1/answers/{answer_id}/feedback": {"201": FEEDBACK},
    "POST /v1/search": {"200": {"hits": [HIT]}},
    "POST /v1/documents": {
        "201": {"documents": [DOCUMENT], "partly_read": []},
        "202": {**RUN, "status": "waiting", "num_added": 0, "num_passages": 0, "finished_at": None},
    },
    "GET /v1/documents": {"200": {"documents": [DOCUMENT], "next": None}},
    "GET /v1/documents/{document_id}": {
        "200": {
            **DOCUMENT,
            "current_version": 1,
            "text": TEXT,
            "sections": [{"start": 0, "end": 41, "headings": ["Support"], **PLACE}],
            "passages": [{"id": 1, "start": 0, "end": 41, **PLACE}],
        }
    },
    "GET /v1/documents/{document_id}/versions": {"200": {"versions": [VERSION], "next": None}},
    "GET /v1/collections": {"200": {"collections": [COLLECTION], "next": None}},
    "GET /v1/datasets": {"200": {"datasets": [DATASET], "next": None}},
    "POST /v1/datasets": {"201": DATASET},
    "GET /v1/datasets/{dataset_id}": {
        "200": {
            "dataset": DATASET,
            "documents": [
                {
                    "document_id": 1,
                    "document_version": 1,
                    "source": SOURCE,
                    "text_sha256": SHA256,
                    "origin": "real",
                }
            ],
            "next": None,
        }
    },
    "GET /v1/datasets/{dataset_id}/diff/{other_id}": {
        "200": {
            "before": DATASET,
            "after": {**DATASET, "id": 4, "name": "2025-07", "num_documents": 413, "num_real": 401},
            "num_added": 1,
            "num_removed": 0,
            "num_changed": 0,
            "differences": [
                {
                    "source": SOURCE,
                    "kind": "added",
                    "text_sha256_before": None,
                    "text_sha256_after": SHA256,
                    "origin_before": None,
                    "origin_after": "real",
                }
            ],
            "next": None,
        }
    },
    "GET /v1/ingestion-runs": {"200": {"runs": [RUN], "next": None}},
    "GET /v1/ingestion-runs/{run_id}": {"200": RUN},
    "GET /v1/ingestion-runs/{run_id}/failures": {
        "200": {
            "failures": [{"source": "upload:old.pdf", "reason": "The file is damaged.", "created_at": MOMENT}],
            "next": None,
        }
    },
    "GET /v1/ingestion-runs/{run_id}/events": {"200": f"event: run\ndata: {json.dumps(RUN)}\n\n"},
    "GET /healthz": {"200": {"status": "up"}},
    "GET /metrics": {"200": 'rag_requests_total{method="POST",route="/v1/answers",status="200"} 42.0\n'},
    "GET /readyz": {
        "200": {"database": "ready", "models": "ready", "index": "ready"},
        "503": {
            "database": "The database rag.db is locked by another process; try again when that has finished.",
            "models": "waiting for the database",
            "index": "waiting for the database",
        },
    },
}
