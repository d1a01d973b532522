"""Text to token ids and back, on the ``tokenizers`` library: characters, words, WordPiece and byte-level BPE.

What people write is text. A control token spelled out in it ("<|im_end|>", "[CLS]") becomes the tokens of its letters,
never the control token; only ``Markup``, which templates write, can hold control tokens.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rag.errors import InvalidInput, ModelError
from rag.transformer.special_tokens import SpecialIds, known_ids, save_special_ids, special_ids

WORD_SPECIALS = ("<pad>", "<unk>", "<start>", "<end>")
BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BYTE_LEVEL_SPECIALS = ("<|pad|>", "<|start|>", "<|end|>")


def read_tokenizer(folder: Path) -> Tokenizer:
    """What ``tokenizer.json`` of a model folder describes.

    Raises:
        ModelError: the file is missing or damaged.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder} holds no tokenizer: tokenizer.json is missing.")
    try:
        return Tokenizer.from_buffer(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path} is damaged, or of a kind that this version cannot read: {error}") from error


class Markup(str):
    """Text in which control tokens count: what a template writes, never what a person or a document says."""

    __slots__ = ()


class TextTokenizer:
    """A tokenizer and the ids of its special tokens.

    ``pad_id`` fills up batches, ``start_id`` (if any) begins a text, any of ``end_ids`` ends one.
    """

    def __init__(self, tokenizer: Tokenizer, special: SpecialIds) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.vocabulary_size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self.pad_id, self.start_id, self.end_ids = special.pad, special.start, special.ends

        described = json.loads(tokenizer.to_str())
        # Runs of spaces are added tokens too in some vocabularies; they control nothing and stay part of the text.
        control = [token for token in described["added_tokens"] if token["content"].strip()]
        self._control_ids: dict[str, int] = {token["content"]: token["id"] for token in control}
        self._control_pattern = _pattern_of(control)
        unknown = tokenizer.token_to_id(described["model"].get("unk_token") or "")
        self._forgeable_ids = frozenset(self._control_ids.values()) - {unknown}

        # Added tokens that are not "special" are found in any text, so all that control something become special here.
        for token in control:
            token["special"] = True
        self._plain = Tokenizer.from_buffer(json.dumps(described).encode())
        self._plain.encode_special_tokens = True  # means: special tokens in a text are encoded like other text
        # A token that nobody can write, to stand for the control tokens between two pieces of text.
        self._seam = f"\ue000{secrets.token_hex(16)}\ue000"
        self._plain.add_tokens([AddedToken(self._seam, normalized=False)])
        self._seam_id = self._plain.token_to_id(self._seam)

    @classmethod
    def train_characters(cls, texts: Iterable[str]) -> Self:
        """One token for each character that occurs in ``texts``.

        Raises:
            InvalidInput: there is no text.
        """
        characters = sorted({character for text in texts for character in text})
        if not characters:
            raise InvalidInput("There is no text to train a tokenizer on.")
        vocabulary = {token: number for number, token in enumerate([*WORD_SPECIALS, *characters])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        tokenizer.add_special_tokens(list(WORD_SPECIALS))
        return cls._trained(tokenizer, WORD_SPECIALS[0], WORD_SPECIALS[2], WORD_SPECIALS[3])

    @classmethod
    def train_words(cls, texts: Iterable[str], vocabulary: int) -> Self:
        """The most frequent words and marks of punctuation; decoding puts a space between all of them.

        Raises:
            InvalidInput: there is no text, or no room for a word in ``vocabulary``.
        """
        _require_room(vocabulary, len(WORD_SPECIALS) + 1)
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocabulary, special_tokens=list(WORD_SPECIALS), show_progress=False
        )
        _train(tokenizer, trainer, texts, num_specials=len(WORD_SPECIALS))
        return cls._trained(tokenizer, WORD_SPECIALS[0], WORD_SPECIALS[2], WORD_SPECIALS[3])

    @classmethod
    def train_wordpiece(cls, texts: Iterable[str], vocabulary: int, *, lowercase: bool = True) -> Self:
        """WordPiece (Schuster and Nakajima, 2012) with the normalisation and the special tokens of BERT.

        Raises:
            InvalidInput: there is no text, or ``vocabulary`` is smaller than the alphabet of the texts.
        """
        normalizer, splitter = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()

        def with_pieces(pieces: dict[str, int]) -> Tokenizer:
            tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
            tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
            tokenizer.decoder = decoders.WordPiece()
            return tokenizer

        texts = list(texts)
        words = {word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
        # The trainer numbers the alphabet inside words in an order that changes from run to run, and breaks ties by
        # these numbers. Handed to it as special tokens, they are in order.
        inside = sorted({f"##{character}" for word in words for character in word[1:]})
        _require_room(vocabulary, len(BERT_SPECIALS) + len(inside) + len({word[:1] for word in words}))
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocabulary, limit_alphabet=2**31, special_tokens=[*BERT_SPECIALS, *inside], show_progress=False
        )
        trained = with_pieces({})
        _train(trained, trainer, texts, num_specials=len(BERT_SPECIALS))
        tokenizer = with_pieces(trained.get_vocab())
        tokenizer.add_special_tokens(list(BERT_SPECIALS))
        return cls._trained(tokenizer, BERT_SPECIALS[0], BERT_SPECIALS[2], BERT_SPECIALS[3])

    @classmethod
    def train_byte_level_bpe(cls, texts: Iterable[str], vocabulary: int, *, extra_specials: Sequence[str] = ()) -> Self:
        """Byte-pair encoding over bytes (Sennrich et al., 2016; Radford et al., 2019), which no text is lost in.

        ``extra_specials`` are control tokens of the caller's own, such as those of a chat template.

        Raises:
            InvalidInput: ``vocabulary`` has no room for the 256 bytes and the special tokens.
        """
        specials = [*BYTE_LEVEL_SPECIALS, *extra_specials]
        _require_room(vocabulary, 256 + len(specials))
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        _train(tokenizer, trainer, texts, num_specials=len(specials))
        return cls._trained(tokenizer, *BYTE_LEVEL_SPECIALS)

    @classmethod
    def _trained(cls, tokenizer: Tokenizer, pad: str, start: str, end: str) -> Self:
        pad_id, start_id, end_id = known_ids(tokenizer, [pad, start, end])
        return cls(tokenizer, SpecialIds(pad=pad_id, start=start_id, ends=frozenset({end_id})))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load ``tokenizer.json`` of a model folder.

        Special ids come from ``tokenizer_config.json``, ``generation_config.json`` and ``config.json``, where there.

        Raises:
            ModelError: a file is missing or damaged, or names a token that the tokenizer lacks.
        """
        tokenizer = read_tokenizer(folder)
        return cls(tokenizer, special_ids(tokenizer, folder))

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and what ``load`` needs to know of the special tokens."""
        folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(folder / "tokenizer.json"))
        special = SpecialIds(pad=self.pad_id, start=self.start_id, ends=self.end_ids)
        save_special_ids(special, self._tokenizer, folder)

    def special_id(self, token: str) -> int:
        """The id of a control token.

        Raises:
            ModelError: the tokenizer has no such control token.
        """
        if token not in self._control_ids:
            raise ModelError(f"The tokenizer has no control token {token}; it has {', '.join(self._control_ids)}.")
        return self._control_ids[token]

    def token(self, token_id: int) -> str | None:
        """How a token is spelled in the vocabulary; None if it is not in there."""
        token: str | None = self._tokenizer.id_to_token(token_id)
        return token

    def encode(self, text: str) -> list[int]:
        """The ids of a text, in which control tokens do not count, without start and end.

        Raises:
            InvalidInput: the text is not valid Unicode.
        """
        return self._encode([text], [])

    def encode_parts(self, parts: Iterable[str]) -> list[int]:
        """The ids of all parts together; control tokens count only in those that are ``Markup``.

        Raises:
            InvalidInput: a text is not valid Unicode.
        """
        pieces, controls = [""], []
        for part in parts:
            if not isinstance(part, Markup):
                pieces[-1] += part
                continue
            at = 0
            for match in self._control_pattern.finditer(part):
                pieces[-1] += part[at : match.start()]
                pieces.append("")
                controls.append(self._control_ids[match[match.lastindex or 0]])
                at = match.end()
            pieces[-1] += part[at:]
        return self._encode(pieces, controls)

    def _encode(self, pieces: Sequence[str], controls: Sequence[int]) -> list[int]:
        """The ids of pieces of text, with a control token between each and the next.

        Encoding all in one call, as it is done without pieces, matters to tokenizers that treat the beginning of a text
        differently.
        """
        text = self._seam.join(piece.replace(self._seam, "") for piece in pieces)
        at_seams: list[int | None] = list(controls)
        while True:
            try:
                encoding = self._plain.encode(text, add_special_tokens=False)
            except (UnicodeError, TypeError) as error:
                raise InvalidInput(f"The text is not valid Unicode: {error}") from error
            # Some vocabularies hold control tokens as ordinary words, or merges that lead to them: cut those in two.
            forged = [
                start
                for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
                if token_id in self._forgeable_ids and end - start > 1
            ]
            if not forged:
                break
            for start in reversed(forged):
                at_seams.insert(text.count(self._seam, 0, start), None)
                text = text[: start + 1] + self._seam + text[start + 1 :]
        seams = iter(at_seams)
        ids = (next(seams) if token_id == self._seam_id else token_id for token_id in encoding.ids)
        return [token_id for token_id in ids if token_id is not None]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of ``ids``; bytes that make up no character become U+FFFD, ids beyond the vocabulary nothing."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special)
        return text


def _pattern_of(control: Sequence[Mapping[str, Any]]) -> re.Pattern[str]:
    """Finds control tokens, in group 1 and up, with the white space around them that some of them swallow."""
    longest_first = sorted(control, key=lambda token: -len(token["content"]))
    alternatives = [
        (r"\s*" if token["lstrip"] else "") + f"({re.escape(token['content'])})" + (r"\s*" if token["rstrip"] else "")
        for token in longest_first
    ]
    return re.compile("|".join(alternatives) or r"(?!)")


def _require_room(vocabulary: int, needed: int) -> None:
    if vocabulary < needed:
        raise InvalidInput(f"A vocabulary of {vocabulary} is too small here: at least {needed} tokens are needed.")


def _train(tokenizer: Tokenizer, trainer: trainers.Trainer, texts: Iterable[str], *, num_specials: int) -> None:
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() <= num_specials:
        raise InvalidInput("There is no text to train a tokenizer on.")
