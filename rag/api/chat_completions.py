"""An answer as a chat completion, whole or in chunks."""

from collections.abc import Iterator

from rag.api.answer_events import Ask, tokens_of
from rag.api.chat import content_of
from rag.api.event_stream import Emit, Produce, event
from rag.api.openai_schemas import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    Sources,
    Usage,
)
from rag.assemble import Rag
from rag.cancellation import Cancellation
from rag.records import Answer
from rag.store.answers import get_answer


def completion_of(service: Rag, answer: Answer, *, model: str) -> ChatCompletion:
    """A whole answer."""
    message = AssistantMessage(content=content_of(answer), **_sources(answer).model_dump())
    return ChatCompletion(
        id=_id(answer),
        created=int(answer.created_at.timestamp()),
        model=model,
        choices=[Choice(message=message)],
        usage=usage_of(service, answer),
    )


def produce_chunks(service: Rag, ask: Ask, *, model: str, include_usage: bool) -> Produce:
    """What makes the chunks of an answer, once it has been logged."""

    def produce(cancellation: Cancellation, emit: Emit) -> None:
        answer = ask(cancellation, lambda _: None)
        for chunk in _chunks(service, answer, model=model, include_usage=include_usage):
            emit(event(None, chunk))
        emit(event(None, "[DONE]"))

    return produce


def usage_of(service: Rag, answer: Answer) -> Usage | None:
    """Tokens of the question and the passages that were read, and of the answer, as the model counts them.

    None where its tokenizer is out of sight.
    """
    kind = service.settings.generator.partition(":")[0]
    if kind == "reader":
        texts = [answer.searched_question, *(hit.text for hit in answer.passages), answer.answer]
        *read, written = service.reader.count_tokens(texts)
        return Usage(prompt_tokens=sum(read), completion_tokens=written, total_tokens=sum(read) + written)
    with service.database.read() as session:
        settings = get_answer(session, answer.id).settings
    asked, new = settings.get("num_prompt_tokens"), settings.get("num_new_tokens")
    if not isinstance(asked, int) or not isinstance(new, int):
        return None
    return Usage(prompt_tokens=asked, completion_tokens=new, total_tokens=asked + new)


def _chunks(service: Rag, answer: Answer, *, model: str, include_usage: bool) -> Iterator[ChatCompletionChunk]:
    created = int(answer.created_at.timestamp())

    def chunk(*choices: ChunkChoice, usage: Usage | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(id=_id(answer), created=created, model=model, choices=list(choices), usage=usage)

    yield chunk(ChunkChoice(delta={"role": "assistant", "content": ""}))
    for text in tokens_of(content_of(answer)):
        yield chunk(ChunkChoice(delta={"content": text}))
    yield chunk(ChunkChoice(delta=_sources(answer).model_dump(mode="json"), finish_reason="stop"))
    usage = usage_of(service, answer) if include_usage else None
    if usage is not None:
        yield chunk(usage=usage)


def _sources(answer: Answer) -> Sources:
    return Sources.model_validate(
        {
            "citations": answer.citations,
            "answer_id": answer.id,
            "abstained": answer.abstained,
            "confidence": answer.confidence,
        },
        from_attributes=True,
    )


def _id(answer: Answer) -> str:
    return f"chatcmpl-{answer.id}"
