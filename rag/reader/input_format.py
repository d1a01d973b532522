"""The one input format of the reader, for training and for answering alike.

    [CLS] question [SEP] title > headings [SEP] passage [SEP]

The question is segment 0, the rest segment 1. Only the passage can be copied from or pointed at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from rag.errors import ModelError
from rag.transformer.tokenization import read_tokenizer

MAX_QUESTION_TOKENS = 64
MAX_CONTEXT_TOKENS = 24
MAX_LENGTH = 512
CONTINUES = "##"
"""What WordPiece puts before a token that continues a word."""
LENGTH_BUCKET = 32
"""Lengths are padded to multiples of this: oneDNN compiles its bf16 kernels anew for every new shape."""


@dataclass(frozen=True, slots=True)
class ReaderPair:
    """One (question, passage) pair as tokens.

    ``passage_start`` is the position of the first passage token; ``offsets`` holds, for each passage token, the
    characters of the passage that it covers; ``word_starts`` is true where a passage token begins a word; ``blocks``
    counts the blank lines above it, so that no answer is made of the end of a heading and the beginning of a paragraph.
    """

    ids: tuple[int, ...]
    passage_start: int
    offsets: tuple[tuple[int, int], ...]
    word_starts: tuple[bool, ...]
    blocks: tuple[int, ...]

    def char_span(self, first: int, last: int) -> tuple[int, int]:
        """The passage characters from token position ``first`` to ``last``, both inside the passage."""
        return self.offsets[first - self.passage_start][0], self.offsets[last - self.passage_start][1]

    def token_span(self, start: int, end: int) -> tuple[int, int] | None:
        """The token positions that cover the passage characters ``start:end``; None if cut off or empty."""
        inside = [i for i, (a, b) in enumerate(self.offsets) if a < end and b > start]
        if not inside or self.offsets[inside[-1]][1] < end:
            return None
        return self.passage_start + inside[0], self.passage_start + inside[-1]


@dataclass(frozen=True, slots=True)
class PairBatch:
    """P pairs padded to length L: token ids, segments, and which positions are real and which are passage."""

    ids_PL: Tensor
    segments_PL: Tensor
    valid_PL: Tensor
    copyable_PL: Tensor
    word_start_PL: Tensor
    block_PL: Tensor

    def to(self, device: torch.device) -> "PairBatch":
        """The batch on a device."""
        return PairBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


def like_lengths(valid_PL: Tensor) -> list[tuple[Tensor, int]]:
    """The pairs in groups of like length, as (their places, padded length): what is read together need not be padded
    to the longest of all. Twice as coarse as ``bucket_length``, since a product of few rows wastes time as well."""
    lengths = valid_PL.sum(dim=1).tolist()
    step = 2 * LENGTH_BUCKET
    groups: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        groups.setdefault(min(valid_PL.shape[1], -(-int(length) // step) * step), []).append(place)
    return [(torch.tensor(places), length) for length, places in sorted(groups.items())]


def bucket_length(num_tokens: int) -> int:
    """The padded length of ``num_tokens``."""
    return min(MAX_LENGTH, -(-num_tokens // LENGTH_BUCKET) * LENGTH_BUCKET)


class ReaderTokenizer:
    """The WordPiece tokenizer of the encoder, and the building of pairs."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.pad_id, self.begin_id, self.end_id = (self._special(name) for name in ("[PAD]", "[CLS]", "[SEP]"))

    def _special(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ModelError(f"The reader needs a BERT tokenizer; this one has no {token}.")
        return number

    @classmethod
    def load(cls, folder: Path) -> "ReaderTokenizer":
        """Load ``tokenizer.json`` from a model folder.

        Raises:
            ModelError: the file is missing or damaged.
        """
        return cls(read_tokenizer(folder))

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Tokens of each text, without special tokens."""
        encodings: list[Encoding] = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return encodings

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, special tokens not counted."""
        return [len(encoding) for encoding in self.encode(texts)]

    def piece(self, number: int) -> tuple[str, bool]:
        """The text of a token, and whether it continues the word before it."""
        token = self._tokenizer.id_to_token(number) or ""
        return token.removeprefix(CONTINUES), token.startswith(CONTINUES)

    def pairs(self, question: str, passages: Sequence[tuple[str, str]]) -> list[ReaderPair]:
        """One pair for each (context line, passage text); what exceeds the model's length is cut off at the end."""
        encodings = self.encode([question, *(text for passage in passages for text in passage)])
        asked = encodings[0].ids
        pairs = []
        for (_, text), context, passage in zip(passages, encodings[1::2], encodings[2::2], strict=True):
            pairs.append(self.pair(asked, context.ids, passage, text))
        return pairs

    def pair(self, question: Sequence[int], context: Sequence[int], passage: Encoding, text: str) -> ReaderPair:
        """Join a tokenized question, context line and passage, whose text is ``text``."""
        head = [self.begin_id, *question[:MAX_QUESTION_TOKENS], self.end_id, *context[:MAX_CONTEXT_TOKENS], self.end_id]
        room = MAX_LENGTH - len(head) - 1
        return ReaderPair(
            ids=(*head, *passage.ids[:room], self.end_id),
            passage_start=len(head),
            offsets=tuple(passage.offsets[:room]),
            word_starts=tuple(not token.startswith(CONTINUES) for token in passage.tokens[:room]),
            blocks=tuple(_blocks(text, passage.offsets[:room])),
        )

    def batch(self, pairs: Sequence[ReaderPair]) -> PairBatch:
        """Pad pairs to one length, rounded up to a multiple of ``LENGTH_BUCKET``."""
        L = bucket_length(max(len(pair.ids) for pair in pairs))
        ids = torch.full((len(pairs), L), self.pad_id, dtype=torch.long)
        segments = torch.zeros((len(pairs), L), dtype=torch.long)
        copyable = torch.zeros((len(pairs), L), dtype=torch.bool)
        word_start = torch.zeros((len(pairs), L), dtype=torch.bool)
        block = torch.zeros((len(pairs), L), dtype=torch.long)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair.ids)] = torch.tensor(pair.ids)
            segments[row, pair.ids.index(self.end_id) + 1 : len(pair.ids)] = 1
            end = pair.passage_start + len(pair.offsets)
            copyable[row, pair.passage_start : end] = True
            word_start[row, pair.passage_start : end] = torch.tensor(pair.word_starts, dtype=torch.bool)
            block[row, pair.passage_start : end] = torch.tensor(pair.blocks, dtype=torch.long)
        valid = torch.zeros((len(pairs), L), dtype=torch.bool)
        for row, pair in enumerate(pairs):
            valid[row, : len(pair.ids)] = True
        return PairBatch(ids, segments, valid, copyable, word_start, block)


def _blocks(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """For each token the number of blank lines before it."""
    blocks, number, at = [], 0, 0
    for start, end in offsets:
        number += "\n\n" in text[at:start]
        blocks.append(number)
        at = end
    return blocks
