"""What clients of the OpenAI protocol send and expect, as far as this service speaks it.

What a client sends beyond these fields is refused by name. Fields that only steer how a language model draws its words
are taken and change nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    WithJsonSchema,
)

from rag.api.schemas import FILTER_OBJECT, CitationResponse, Request, Response


class TextPart(BaseModel):
    """A part of a message. Fields that clients add to it are passed over."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message. ``system`` and ``developer`` messages are read past: answers come from the documents alone."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """Its words."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Request):
    """What a stream is to hold beside the answer."""

    include_usage: StrictBool = False
    include_obfuscation: StrictBool | None = None


class ResponseFormat(BaseModel):
    """Only text is written."""

    type: Literal["text"]


def _off(value: bool) -> bool:
    if value:
        raise ValueError("only false is taken: answers are found rather than drawn")
    return value


MODEL = "rag, or rag:NAME for the collection of that name."


class ChatCompletionRequest(Request):
    """A conversation, whose last message is the question."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "rag:default",
                    "messages": [{"role": "user", "content": "Who keeps the support rota?"}],
                    "stream": True,
                }
            ]
        }
    )

    model: str = Field(description=MODEL)
    messages: list[ChatMessage] = Field(min_length=1)
    stream: StrictBool | None = False
    stream_options: StreamOptions | None = None
    # Ours, which clients pass through: extra_body={"top_k": 4}.
    top_k: StrictInt | None = Field(None, description="How many passages to read; the setting top_k if left out.")
    filters: dict[str, JsonValue] = Field(default_factory=dict, description=FILTER_OBJECT)
    # What would change the answer's meaning must be as if it were left out.
    n: Annotated[StrictInt, Field(ge=1, le=1)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    function_call: Literal["none", "auto"] | None = None
    response_format: ResponseFormat | None = None
    logprobs: Annotated[StrictBool, AfterValidator(_off), WithJsonSchema({"const": False})] | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=0)] | None = None
    stop: Annotated[list[str], Field(max_length=0)] | None = None
    modalities: list[Literal["text"]] | None = None
    # What has no meaning for answers that are found rather than drawn.
    temperature: StrictFloat | None = None
    top_p: StrictFloat | None = None
    max_tokens: StrictInt | None = None
    max_completion_tokens: StrictInt | None = None
    presence_penalty: StrictFloat | None = None
    frequency_penalty: StrictFloat | None = None
    seed: StrictInt | None = None
    logit_bias: dict[str, StrictFloat] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: StrictBool | None = None
    service_tier: str | None = None
    parallel_tool_calls: StrictBool | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


class Sources(Response):
    """What is beyond the protocol, which its clients pass through as extra fields: what the answer rests on.

    The marks ``[1]`` in the text count the citations from 1.
    """

    citations: list[CitationResponse]
    answer_id: int = Field(description="The answer in the log: GET /v1/answers/{id}.")
    abstained: bool
    confidence: float


class AssistantMessage(Sources):
    """The answer with its marks and its list of sources."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Response):
    """The only choice."""

    index: Literal[0] = 0
    message: AssistantMessage
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class Usage(Response):
    """Tokens, as the tokenizer of the model counts them that answered."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Response):
    """A whole answer. ``usage`` is null where the model is on a server whose tokenizer is out of sight."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[Choice]
    usage: Usage | None


class ChunkChoice(Response):
    """What a chunk adds to the only choice."""

    index: Literal[0] = 0
    delta: dict[str, Any]
    finish_reason: Literal["stop"] | None = None
    logprobs: None = None


class ChatCompletionChunk(Response):
    """A piece of an answer. The last one with a choice holds its sources in ``delta``."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class EmbeddingsRequest(Request):
    """Texts to be embedded as passages are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "rag:default", "input": ["support rota"]}]})

    model: str = Field(description=f"{MODEL} Its embedding model is used, which can also be named itself.")
    input: str | list[str] = Field(description="One text or several; lists of tokens are not taken.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: StrictInt | None = Field(None, description="Only that of the model.")
    user: str | None = None


class Embedding(Response):
    """A unit vector: numbers, or these as float32, little endian, in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Response):
    """Tokens of the texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Response):
    """The vectors in the order of the texts. ``model`` is the embedding model."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


class Model(Response):
    """A collection as clients see it: a model that answers from its documents."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["rag"] = "rag"


class ModelList(Response):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(Response):
    """What went wrong, in one sentence."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(Response):
    """An error in the form that clients of the OpenAI protocol read."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "message": "A sentence that says what to change.",
                        "type": "invalid_request_error",
                        "param": None,
                        "code": None,
                    }
                }
            ]
        }
    )

    error: ErrorDetail
