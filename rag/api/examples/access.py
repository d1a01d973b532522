"""Examples of keys, sign-ins and the audit."""

from typing import Any

from rag.api.examples.library import MOMENT

KEY: dict[str, Any] = {
    "id": 2,
    "user_id": "amara",
    "name": "laptop",
    "role": "reviewer",
    "collections": None,
    "access_labels": ["staff"],
    "rate_limit_per_minute": None,
    "expires_at": None,
    "created_at": MOMENT,
    "last_used_at": None,
    "revoked_at": None,
}
EVENT = {
    "id": 31,
    "created_at": MOMENT,
    "user_id": "amara",
    "api_key_id": 2,
    "action": "answer.read",
    "target": "7",
    "details": {},
    "request_id": "5f0c1f2f8f7e4c0c9b0a6c1d2e3f4a5b",
}

RESPONSES: dict[str, dict[str, Any]] = {
    "POST /v1/keys": {"201": {**KEY, "key": "rag_2_the-words-of-the-key"}},
    "GET /v1/keys": {"200": {"keys": [KEY]}},
    "DELETE /v1/keys/{key_id}": {"200": {**KEY, "revoked_at": MOMENT}},
    "GET /v1/audit-events": {"200": {"events": [EVENT], "next": None}},
    "GET /v1/users/{user_id}/data": {
        "200": {
            "records": [
                {"record": "user", "id": "amara", "created_at": MOMENT},
                {"record": "api_key", **KEY},
                {"record": "audit_event", **EVENT},
            ]
        }
    },
    "DELETE /v1/users/{user_id}/data": {
        "200": {
            "erased": False,
            "num_answers": 12,
            "num_conversations": 2,
            "num_feedback": 3,
            "num_api_keys": 1,
            "num_sign_ins": 1,
            "num_audit_events": 9,
        }
    },
    "POST /session": {
        "201": {"user_id": "amara", "role": "reviewer", "expires_at": MOMENT, "csrf_token": "the token"},
    },
    "GET /session": {
        "200": {"user_id": "amara", "role": "reviewer", "collections": None, "access_labels": ["staff"]},
    },
}
