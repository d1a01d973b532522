from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rag.errors import InvalidInput
from rag.index.embedder import CARRIED_MODEL, Embedder
from rag.transformer.processor import choose_dtype


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
