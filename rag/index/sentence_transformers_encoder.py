"""Sentence embedding by the sentence-transformers library, for every model that it knows.

Importing it takes seconds, so whoever may do without imports this module late.
"""

import logging
from collections.abc import Sequence
from typing import Self

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from rag.errors import ModelError
from rag.index.padded_batches import PADDED_TO, padded_batches


class SentenceTransformersEncoder:
    """A model run by the library."""

    def __init__(self, model: SentenceTransformer) -> None:
        dimension, max_tokens = model.get_embedding_dimension(), model.max_seq_length
        assert dimension is not None
        assert isinstance(max_tokens, int)
        self._model = model
        self.dimension, self.max_tokens = dimension, max_tokens

    @classmethod
    def load(cls, name: str, *, dtype: torch.dtype) -> Self:
        """Load a folder, or a model that the library finds on this machine by its name.

        Raises:
            ModelError: there is none.
        """
        # The libraries' own progress bars and advice are not for whoever asks a question.
        disable_progress_bar()  # type: ignore[no-untyped-call]
        logging.getLogger("transformers").setLevel(logging.ERROR)
        logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
        try:
            return cls(SentenceTransformer(name, device="cpu", local_files_only=True, model_kwargs={"dtype": dtype}))
        except (OSError, ValueError) as error:
            raise ModelError(f"sentence-transformers has no model {name!r} here: {error}") from error

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with those that are added, nothing cut off."""
        ids = self._model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(tokens) for tokens in ids]

    def encode(self, texts: Sequence[str], *, batch_size: int) -> Tensor:
        """The vectors (N, D) of ``texts``, float32, of any length; at most ``batch_size`` are computed together.

        In float32, what is encoded together with a text changes no bit of its vector.
        """
        lengths = [min(tokens, self.max_tokens) for tokens in self.count_tokens(texts)]
        vectors_ND = torch.empty(len(texts), self.dimension)
        for _, places in padded_batches(lengths, batch_size):
            vectors_ND[places] = self._model.encode(
                [texts[place] for place in places],
                batch_size=batch_size,
                show_progress_bar=False,
                convert_to_numpy=False,
                convert_to_tensor=True,
                processing_kwargs={"text": {"pad_to_multiple_of": PADDED_TO}},
            ).float()
        return vectors_ND
