"""Which tokens of a model folder begin a text, end one, and fill up batches."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from rag.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """The ids with a meaning of their own. ``start`` is None where texts begin with no such token."""

    pad: int
    start: int | None
    ends: frozenset[int]


def special_ids(tokenizer: Tokenizer, folder: Path) -> SpecialIds:
    """What the files of a model folder say: tokens by name in one, ids and lists of ids in others.

    Every end that any file names counts: chat models often name the end of a turn in one and that of a text in another.

    Raises:
        ModelError: a file is damaged, or names a token that the tokenizer lacks.
    """
    names = read_json(folder / "tokenizer_config.json")
    numbers = [read_json(folder / name) for name in ("generation_config.json", "config.json")]

    def named(key: str) -> list[int]:
        token = names.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if not isinstance(token, str):
            return []
        number = tokenizer.token_to_id(token)
        if number is None:
            raise ModelError(f"{folder} does not fit together: tokenizer.json lacks {token}, its {key}.")
        return [number]

    def numbered(key: str) -> list[int]:
        values = [config.get(key) for config in numbers]
        flat = [number for value in values for number in (value if isinstance(value, list) else [value])]
        # Some files say -1 for none.
        return [n for n in flat if isinstance(n, int) and n >= 0 and tokenizer.id_to_token(n) is not None]

    starts = named("bos_token") if "bos_token" in names else numbered("bos_token_id")
    ends = [*named("eos_token"), *numbered("eos_token_id")]
    pads = [*named("pad_token"), *numbered("pad_token_id"), *sorted(ends), 0]
    return SpecialIds(pad=pads[0], start=starts[0] if starts else None, ends=frozenset(ends))


def save_special_ids(special: SpecialIds, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files that ``special_ids`` reads."""
    ends = sorted(special.ends)
    names = {
        "pad_token": tokenizer.id_to_token(special.pad),
        "bos_token": None if special.start is None else tokenizer.id_to_token(special.start),
        "eos_token": tokenizer.id_to_token(ends[0]) if ends else None,
    }
    _write_json(folder / "tokenizer_config.json", names)
    if len(ends) > 1:
        _write_json(folder / "generation_config.json", {"eos_token_id": ends})


def known_ids(tokenizer: Tokenizer, tokens: Sequence[str]) -> list[int]:
    """The ids of tokens that the tokenizer has."""
    ids = [tokenizer.token_to_id(token) for token in tokens]
    assert None not in ids
    return [number for number in ids if number is not None]


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file.

    Raises:
        ModelError: the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is damaged: it holds no JSON object.")
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
