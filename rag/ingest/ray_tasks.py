"""What the workers of a Ray cluster do. They are sent all they need and write nothing, so a piece can be done twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rag.errors import InvalidInput
from rag.index.embedder import Embedder
from rag.index.embedders import EmbeddingRecipe
from rag.ingest.file_reader import WholeFile, whole_file
from rag.ingest.preparation import PIPELINE_VERSION, carried_tokenizer
from rag.ingest.prepared_document import PreparedDocument, prepare
from rag.ingest.readers.limits import Limits
from rag.ingest.readers.raw_file import FieldNames
from rag.ingest.readers.registry import read_bytes
from rag.reader.input_format import ReaderTokenizer
from rag.text.split import split_passages


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file and how it is to be read. Its bytes are sent, so that the workers need not see the disk that it is on.

    ``pipeline_version`` is that of whoever sends it.
    """

    data: bytes
    name: str
    uri: str
    limits: Limits
    fields: FieldNames
    passage_tokens: int
    pipeline_version: int


def read_sent(file: SentFile) -> WholeFile:
    """All documents of a file, hashed, signed and split.

    Raises:
        InvalidInput: another version of this package sent it, which would read or split it otherwise.
    """
    if file.pipeline_version != PIPELINE_VERSION:
        raise InvalidInput(
            "The workers of the Ray cluster have another version of grounded-rag; install the same on all machines."
        )
    return whole_file(_documents(file))


def embed_texts(recipe: EmbeddingRecipe, texts: Sequence[str]) -> NDArray[np.float16]:
    """Unit vectors (N, dimension) of texts.

    Raises:
        InvalidInput: the model is not on the worker's machine.
    """
    return _embedder(recipe).embed(texts)


def _documents(file: SentFile) -> Iterator[PreparedDocument]:
    count_tokens = _tokenizer().count_tokens
    documents = read_bytes(file.data, name=file.name, source=file.uri, limits=file.limits, fields=file.fields)
    for document in documents:
        passages = split_passages(
            document.text, document.sections, count_tokens=count_tokens, max_tokens=file.passage_tokens
        )
        yield replace(prepare(document, pipeline=""), passages=tuple(passages))


@cache
def _tokenizer() -> ReaderTokenizer:
    return carried_tokenizer()


@cache
def _embedder(recipe: EmbeddingRecipe) -> Embedder:
    return recipe.load()
