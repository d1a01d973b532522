import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from rag.errors import InvalidInput, ModelError
from rag.index.embedder import CARRIED_MODEL, Embedder, model_folder
from rag.index.sentence_encoder import SentenceEncoder
from rag.index.sentence_transformers_encoder import SentenceTransformersEncoder
from rag.transformer.linear import can_halve
from rag.transformer.models import load_bert_encoder
from rag.transformer.processor import choose_dtype
from rag.transformer.tokenization import read_tokenizer
from tests.embedding_models import MAX_TOKENS, save_embedding_model


def test_vectors_are_unit_half_precision_and_near_by_meaning(embedder: Embedder) -> None:
    vectors = embedder.embed(["How do I reset my password?", "I forgot my login secret.", "The whale is a mammal."])
    assert vectors.dtype == np.float16
    assert vectors.shape == (3, embedder.dimension)
    assert np.linalg.norm(vectors.astype(float), axis=1) == pytest.approx(1.0, abs=1e-3)
    cosines = vectors.astype(float) @ vectors[0].astype(float)
    assert cosines[1] > cosines[2] + 0.2


def test_nothing_embeds_to_nothing(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_bfloat16_and_float32_vectors_agree() -> None:
    texts = ["Retention is ninety days.", "Der Hund schläft.", "x" * 300, "a b c"]
    one, other = (
        Embedder(CARRIED_MODEL, dtype=dtype, batch_size=8).embed(texts).astype(float)
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert (one * other).sum(axis=1).min() > 0.998


def test_model_that_is_not_here_names_the_setting() -> None:
    with pytest.raises(InvalidInput, match="embedding_model"):
        Embedder("no-such-model", dtype=torch.float32, batch_size=8)


def test_dtype_can_be_set() -> None:
    assert choose_dtype("float32") is torch.float32
    assert choose_dtype("bfloat16") is torch.bfloat16
    assert choose_dtype("auto") in (torch.float32, torch.bfloat16)


def test_query_has_the_same_bits_alone_and_in_company(embedder: Embedder) -> None:
    queries = [f"Who opened the mill {'in the old town ' * (number % 5)}of Lund in {number}?" for number in range(20)]
    alone = [embedder.embed_query(query) for query in queries]
    with ThreadPoolExecutor(len(queries)) as pool:
        together = list(pool.map(embedder.embed_query, queries))
    assert all((one == other).all() for one, other in zip(alone, together, strict=True))
    assert np.abs(np.array(alone) - embedder.embed(queries)).max() < 2e-3


def test_float32_throughout_can_be_asked_for(embedder: Embedder) -> None:
    exact = Embedder(CARRIED_MODEL, dtype=torch.float32, batch_size=8, half_queries=False)
    assert (embedder.query_weights, exact.query_weights) == ("float16" if can_halve() else "float32", "float32")
    queries = ["Who keeps the mill?", "How long is data retained?"]
    cosines = [embedder.embed_query(query).astype(float) @ exact.embed_query(query) for query in queries]
    assert min(cosines) > 0.9995  # both are rounded to half precision at the end


TEXTS = ["Who keeps the mill?", "", "x" * 3000, "[SEP] is a word here", "Der Hund schläft.", "日本", "word " * 400]


def _vectors_of_the_library(folder: Path) -> NDArray[np.float32]:
    vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    return np.asarray(vectors, dtype=np.float32)


def test_our_transformer_gives_the_vectors_of_sentence_transformers() -> None:
    folder = model_folder(CARRIED_MODEL)
    theirs = SentenceTransformersEncoder.load(str(folder), dtype=torch.float32)
    expected = _vectors_of_the_library(folder)
    plain = SentenceEncoder.load(folder, dtype=torch.float32)
    few_rows, halved = plain.for_few_rows(half=False), plain.for_few_rows()
    for ours, most in ((plain, 1e-5), (few_rows, 1e-5), (halved, 2e-4)):
        vectors = torch.nn.functional.normalize(ours.encode(TEXTS, batch_size=3), dim=1).numpy()
        assert np.abs(vectors - expected).max() < most
        assert ours.count_tokens(TEXTS) == theirs.count_tokens(TEXTS)
        assert (ours.dimension, ours.max_tokens) == (theirs.dimension, theirs.max_tokens)


def test_text_as_long_as_the_model_has_positions_is_embedded() -> None:
    """A length is padded to a multiple, which must not lie beyond the last position."""
    folder = model_folder(CARRIED_MODEL)
    encoder, tokenizer = load_bert_encoder(folder), read_tokenizer(folder)
    num_positions = encoder.embedding.position.num_embeddings
    long = SentenceEncoder(encoder, tokenizer, max_tokens=num_positions)
    for ours in (long, long.for_few_rows(half=False), long.for_few_rows()):
        assert num_positions - 8 < ours.max_tokens <= num_positions
        nearly, whole, beyond = ours.encode(["word " * 480, "word " * 600, "word " * 900], batch_size=2)
        assert torch.equal(whole, beyond)
        assert not torch.equal(nearly, whole)


@pytest.mark.parametrize(("pooling", "is_ours"), [("mean", True), ("cls", False), ("max", False)])
def test_model_with_another_pooling_is_run_by_the_library(
    tiny_encoder_folder: Path, tmp_path: Path, pooling: Literal["mean", "cls", "max"], *, is_ours: bool
) -> None:
    save_embedding_model(tiny_encoder_folder, tmp_path, pooling=pooling)
    if is_ours:
        assert SentenceEncoder.load(tmp_path, dtype=torch.float32).max_tokens == MAX_TOKENS
    else:
        with pytest.raises(ModelError, match="pooling is not the mean"):
            SentenceEncoder.load(tmp_path, dtype=torch.float32)
    embedder = Embedder(str(tmp_path), dtype=torch.float32, batch_size=3)
    assert np.abs(embedder.embed(TEXTS) - _vectors_of_the_library(tmp_path)).max() < 1e-3
    alone = np.stack([embedder.embed_query(text) for text in TEXTS])
    assert (alone == np.array(list(ThreadPoolExecutor(len(TEXTS)).map(embedder.embed_query, TEXTS)))).all()


def test_carried_model_needs_no_import_that_takes_seconds() -> None:
    """They would be waited for at every start of every command."""
    program = (
        "import sys, torch; from rag.index.embedder import CARRIED_MODEL, Embedder;"
        "Embedder(CARRIED_MODEL, dtype=torch.float32, batch_size=8).embed_query('Who?');"
        "print(*{'transformers', 'sentence_transformers', 'torch._dynamo'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", "[", "damaged"),
        ("modules.json", '[{"type": "a.Transformer"}, {"type": "a.Pooling"}, {"type": "a.Dense"}]', "modules"),
        ("tokenizer.json", "{}", "damaged"),
        ("config_sentence_transformers.json", '{"default_prompt_name": "query"}', "prompt"),
        ("sentence_bert_config.json", '{"max_seq_length": 256, "do_lower_case": true}', "prepared"),
        ("tokenizer_config.json", "{}", "how many tokens"),
    ],
)
def test_folder_that_needs_something_else_is_not_ours(
    tiny_encoder_folder: Path, tmp_path: Path, file: str, content: str, message: str
) -> None:
    save_embedding_model(tiny_encoder_folder, tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=message):
        SentenceEncoder.load(tmp_path, dtype=torch.float32)
