"""Small embedding models that know nothing, in folders as sentence-transformers saves them."""

import shutil
from pathlib import Path
from typing import Literal

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

MAX_TOKENS = 256


def save_embedding_model(encoder: Path, folder: Path, *, pooling: Literal["mean", "cls", "max"] = "mean") -> None:
    """Save a model into ``folder`` that embeds with the BERT-family encoder in the folder ``encoder``."""
    with_settings = folder / "encoder"
    shutil.copytree(encoder, with_settings)
    (with_settings / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizerFast"}')
    transformer = Transformer(str(with_settings), max_seq_length=MAX_TOKENS)
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    shutil.rmtree(with_settings)
