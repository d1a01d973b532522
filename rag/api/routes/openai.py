"""What clients of the OpenAI protocol call: chat completions, embeddings and models.

A model's name chooses the collection. Answers are logged like all others.
"""

import base64
from collections.abc import Callable, Sequence
from functools import partial

from fastapi import APIRouter, Request

from rag.api.callers import From
from rag.api.chat import question_of
from rag.api.chat_completions import completion_of, produce_chunks
from rag.api.event_stream import STREAMED, EventStream
from rag.api.openai_errors import OpenAIRoute, openai_error, openai_problems
from rag.api.openai_schemas import (
    ChatCompletion,
    ChatCompletionRequest,
    Embedding,
    EmbeddingList,
    EmbeddingsRequest,
    EmbeddingsUsage,
    Model,
    ModelList,
)
from rag.api.service import Service
from rag.api.workers import Pool, run_while_wanted
from rag.assemble import DEFAULT_COLLECTION, Rag
from rag.cancellation import Cancellation
from rag.errors import InvalidInput, LimitExceeded, NotFound
from rag.records import Answer, Caller, Hit
from rag.store.collections import list_collections

router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute)
MODEL = "rag"
NUM_AT_ONCE = 32
"""Texts embedded between two looks at whether the caller is still there."""


@router.post(
    "/chat/completions",
    summary="Answer the last message",
    response_model=ChatCompletion,
    responses={
        200: {
            "description": "The answer; with `stream`, in chunks as server-sent events.",
            "content": STREAMED,
        },
        **openai_problems(400, 404),
    },
)
async def complete(
    asked: ChatCompletionRequest, request: Request, service: Service, workers: Pool, caller: From
) -> ChatCompletion | EventStream:
    """Answer the last message from the documents. Earlier messages tell what a follow-up means.

    The text has marks `[1]` and a list of sources; `citations` holds the same exactly.
    """
    collection = collection_of(asked.model)
    question, history = question_of(asked.messages, max_chars=service.settings.max_question_chars)

    def answer(cancellation: Cancellation, on_found: Callable[[Sequence[Hit]], None]) -> Answer:
        return service.ask(
            question,
            collection=collection,
            top_k=asked.top_k,
            filters=asked.filters,
            caller=caller,
            history=history,
            cancellation=cancellation,
            on_found=on_found,
        )

    if asked.stream:
        include_usage = asked.stream_options is not None and asked.stream_options.include_usage
        return EventStream(
            request,
            workers,
            produce_chunks(service, answer, model=asked.model, include_usage=include_usage),
            explain=partial(openai_error, request),
            error_event=None,
            keep_alive_s=service.settings.stream_keep_alive_s,
        )

    def work(cancellation: Cancellation) -> ChatCompletion:
        return completion_of(service, answer(cancellation, lambda _: None), model=asked.model)

    return await run_while_wanted(request, workers, work)


@router.post("/embeddings", summary="Embed texts", responses=openai_problems(400, 404))
async def embed(
    wanted: EmbeddingsRequest, request: Request, service: Service, workers: Pool, caller: From
) -> EmbeddingList:
    """Embed texts as the passages of a collection are embedded."""
    return await run_while_wanted(request, workers, partial(_embed, wanted, service, caller))


@router.get("/models", summary="List models", responses=openai_problems())
def list_all(service: Service, caller: From) -> ModelList:
    """List the collections as models: `rag` is the collection `default`, `rag:NAME` any."""
    return ModelList(data=_models(service, caller))


@router.get("/models/{model:path}", summary="Show a model", responses=openai_problems(404))
def show(model: str, service: Service, caller: From) -> Model:
    """Show one of the models."""
    found = next((one for one in _models(service, caller) if one.id == model), None)
    if found is None:
        raise _no_model(model)
    return found


def collection_of(model: str) -> str:
    """The collection that a model's name chooses.

    Raises:
        NotFound: it is no name of this service.
    """
    kind, _, name = model.partition(":")
    if kind != MODEL or model == f"{MODEL}:":
        raise _no_model(model)
    return name or DEFAULT_COLLECTION


def _models(service: Rag, caller: Caller) -> list[Model]:
    with service.database.read() as session:
        collections = [size.collection for size in list_collections(session, caller=caller)]
    named = [(f"{MODEL}:{collection.name}", collection) for collection in collections]
    default = [(MODEL, collection) for collection in collections if collection.name == DEFAULT_COLLECTION]
    return [Model(id=name, created=int(collection.created_at.timestamp())) for name, collection in (*default, *named)]


def _embed(wanted: EmbeddingsRequest, service: Rag, caller: Caller, cancellation: Cancellation) -> EmbeddingList:
    texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    embedder = service.embedders.get(_embedding_model(wanted.model, service, caller))
    limit = service.settings.max_embedding_inputs
    if not texts or not all(texts):
        raise InvalidInput("input must be a text that is not empty, or a list of such texts.")
    if len(texts) > limit:
        raise LimitExceeded(
            f"There are {len(texts)} texts; at most {limit} are allowed", setting="max_embedding_inputs"
        )
    if wanted.dimensions not in (None, embedder.dimension):
        raise InvalidInput(f"dimensions must be {embedder.dimension}, or be left out: {embedder.name} has no other.")
    counts = embedder.count_tokens(texts)
    for number, count in enumerate(counts):
        if count > embedder.max_tokens:
            raise InvalidInput(
                f"Text {number} has {count} tokens; {embedder.name} reads {embedder.max_tokens}. Split it."
            )
    vectors: list[Embedding] = []
    for start in range(0, len(texts), NUM_AT_ONCE):
        cancellation.check()
        for vector in embedder.embed(texts[start : start + NUM_AT_ONCE]).astype("<f4"):
            packed = base64.b64encode(vector.tobytes()).decode() if wanted.encoding_format == "base64" else None
            vectors.append(Embedding(index=len(vectors), embedding=packed or vector.tolist()))
    total = sum(counts)
    return EmbeddingList(
        data=vectors, model=embedder.name, usage=EmbeddingsUsage(prompt_tokens=total, total_tokens=total)
    )


def _embedding_model(model: str, service: Rag, caller: Caller) -> str:
    """The embedding model of a collection, or one that is named itself and that a collection uses."""
    with service.database.read() as session:
        collections = [size.collection for size in list_collections(session, caller=caller)]
    models = {collection.name: collection.embedding_model for collection in collections}
    if model in models.values():
        return model
    name = collection_of(model)
    if name not in models:
        raise _no_model(model)
    return models[name]


def _no_model(model: str) -> NotFound:
    return NotFound(f"There is no model {model!r}; GET /v1/models lists them: rag, or rag: and a collection's name.")
