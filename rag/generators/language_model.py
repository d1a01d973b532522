"""A decoder-only language model in this process, from a folder of open weights, run by ``rag.transformer``."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import torch

from rag.cancellation import NEVER, Cancellation
from rag.disk import file_sha256
from rag.errors import GeneratorUnavailable, InvalidInput, ModelError
from rag.generators.chat_model import ModelOptions, Reply
from rag.generators.prompt import Prompt
from rag.transformer.chat_template import ChatTemplate, Message
from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.language_model import LanguageModel
from rag.transformer.pretrained import load_language_model
from rag.transformer.tokenization import TextTokenizer
from rag.transformer.weight_files import INDEX, SINGLE

PROMPT_LOOKUP = 8
"""Tokens guessed ahead from the prompt, since answers copy from passages. It changes the speed and nothing else."""
_STOPS = ("<passage-", "</passage-", "<question-", "</question-")
"""A model that begins to write our delimiters has left its answer."""
_NOW = datetime(2024, 1, 1)
"""What templates that write a date are told: always the same, so that a question can be asked again alike."""
_TEXT_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


class LocalModel:
    """A ``ChatModel`` over the in-house decoder-only model."""

    # One reply alone uses all cores.
    one_at_a_time = True
    prompt_setting = "generator_max_new_tokens"

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: TextTokenizer,
        template: ChatTemplate,
        options: ModelOptions,
        *,
        name: str,
        weights_sha256: str,
        logged: Mapping[str, object],
    ) -> None:
        """``logged`` is what else is known of the model, for ``settings``."""
        self._model, self._tokenizer, self._template, self._options = model, tokenizer, template, options
        self.name, self.weights_sha256, self._logged = name, weights_sha256, logged
        self._has_system_role = self._accepts_system_role()

    @classmethod
    def load(
        cls, folder: Path, options: ModelOptions, *, dtype: torch.dtype, int8: bool = False, name: str = ""
    ) -> "LocalModel":
        """Load the model, the tokenizer and the chat template of a folder; ``int8`` rounds its matrices.

        ``name`` is what the model is called beside its hash; empty: as its folder.

        Raises:
            ModelError: there is no such folder, or something in it is missing, damaged or not supported.
        """
        if not folder.is_dir():
            raise ModelError(f"There is no folder {folder}; set generator to lm: and the folder of a language model.")
        tokenizer = TextTokenizer.load(folder)
        template = ChatTemplate.load(folder, tokenizer)
        model = load_language_model(folder, dtype=dtype)
        model = model.quantize() if int8 else model.pack()
        weights_sha256 = files_sha256(_weight_files(folder))
        return cls(
            model,
            tokenizer,
            template,
            options,
            name=f"{name or folder.resolve().name}-{weights_sha256[:12]}",
            weights_sha256=weights_sha256,
            logged={
                "generator_dtype": "int8" if int8 else str(dtype).removeprefix("torch."),
                "generator_files_sha256": files_sha256(
                    [path for name in _TEXT_FILES if (path := folder / name).is_file()]
                ),
            },
        )

    @property
    def settings(self) -> Mapping[str, object]:
        """How it is run, and the SHA-256 of tokenizer, template and configuration together."""
        return {"generator": "lm", **self._options.logged, **self._logged}

    def fits(self, prompt: Prompt) -> bool:
        """Whether prompt and longest answer have room among the model's positions."""
        if prompt.num_chars > self._options.prompt_chars:
            return False
        return len(self._ids_of(prompt)) + self._options.max_new_tokens <= self._model.config.max_positions

    def check(self) -> None:
        """Nothing can be missing: it is loaded."""

    def reply(self, prompt: Prompt, *, cancellation: Cancellation = NEVER) -> Reply:
        """Write the reply: always the likeliest token, or drawn with the seed where a temperature is set.

        Raises:
            Cancelled: it is not wanted any more; looked at after the prompt and after each pass of the model.
            GeneratorUnavailable: it takes longer than ``timeout_s``.
        """
        options = self._options
        ids = self._ids_of(prompt)
        (written,) = generate(
            self._model,
            self._tokenizer,
            [ids],
            GenerationOptions(
                max_new_tokens=options.max_new_tokens,
                strategy="sample" if options.temperature else "greedy",
                temperature=options.temperature or 1.0,
                seed=options.seed,
                stop=(*self._template.stops, *_STOPS),
                prompt_lookup=PROMPT_LOOKUP,
                timeout_s=options.timeout_s,
                log_probabilities=False,
            ),
            after_pass=cancellation.check,
        )
        if written.reason == "timeout":
            raise GeneratorUnavailable(
                f"The model {self.name} did not finish within {options.timeout_s:g} seconds "
                "(setting: generator_timeout_s)."
            )
        num_tokens = {"num_prompt_tokens": len(ids), "num_new_tokens": len(written.ids)}
        return Reply(text=written.text, details={"finish_reason": written.reason, **num_tokens})

    def _ids_of(self, prompt: Prompt) -> list[int]:
        if self._has_system_role:
            messages = [Message("system", prompt.system), Message("user", prompt.user)]
        else:
            messages = [Message("user", f"{prompt.system}\n\n{prompt.user}")]
        return self._template.render(messages, choices={"enable_thinking": False}, now=_NOW)

    def _accepts_system_role(self) -> bool:
        """Some templates refuse it; then the instructions stand before the passages."""
        try:
            self._template.render([Message("system", "x"), Message("user", "x")], now=_NOW)
        except InvalidInput:
            return False
        return True


def _weight_files(folder: Path) -> list[Path]:
    """The files that a model which could be loaded was loaded from."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    shards = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(shards))]


def files_sha256(paths: Sequence[Path]) -> str:
    """One file: its SHA-256. Several: that of the lines that ``sha256sum`` prints for them, by name."""
    if len(paths) == 1:
        return _sha256_of(paths[0])
    lines = [f"{_sha256_of(path)}  {path.name}\n" for path in sorted(paths)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256_of(path: Path) -> str:
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


@cache
def _hash(path: Path, num_bytes: int, changed_ns: int) -> str:  # noqa: ARG001 - part of what the cache goes by
    """Read once in a process: weights take as long to hash as to load."""
    return file_sha256(path)
