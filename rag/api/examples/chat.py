"""Examples of conversations, prompt chains and the OpenAI protocol."""

import json
from typing import Any

from rag.api.examples.library import ANSWER, ASKED, CITATION, MOMENT, QUESTION

CONVERSATION: dict[str, Any] = {
    "id": 4,
    "collection": "default",
    "user_id": "amara",
    "first_question": QUESTION,
    "num_answers": 1,
    "created_at": MOMENT,
    "last_answer_at": MOMENT,
}
SOURCES = {"citations": [CITATION], "answer_id": 7, "abstained": False, "confidence": 0.93}
MARKED = f"{ANSWER} [1]\n\nSources:\n[1] Support, upload:support.md"
MODEL = {"id": "rag:default", "object": "model", "created": 1751299200, "owned_by": "rag"}
CHUNK = {
    "id": "chatcmpl-7",
    "object": "chat.completion.chunk",
    "created": 1751299200,
    "model": "rag:default",
    "choices": [{"index": 0, "delta": {"content": ANSWER}, "finish_reason": None, "logprobs": None}],
    "usage": None,
}

RESPONSES: dict[str, dict[str, Any]] = {
    "GET /v1/answers/{answer_id}/chain": {"200": {"answers": [ASKED]}},
    "GET /v1/conversations": {"200": {"conversations": [CONVERSATION], "next": None}},
    "GET /v1/conversations/{conversation_id}": {"200": {**CONVERSATION, "answers": [ASKED]}},
    "POST /v1/chat/completions": {
        "200": {
            "id": "chatcmpl-7",
            "object": "chat.completion",
            "created": 1751299200,
            "model": "rag:default",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": MARKED, "refusal": None, **SOURCES},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 812, "completion_tokens": 4, "total_tokens": 816},
        },
        "200 text/event-stream": f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n",
    },
    "POST /v1/embeddings": {
        "200": {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
            "model": "all-MiniLM-L6-v2",
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }
    },
    "GET /v1/models": {"200": {"object": "list", "data": [MODEL]}},
    "GET /v1/models/{model}": {"200": MODEL},
}
