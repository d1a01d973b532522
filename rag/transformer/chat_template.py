"""From the messages of a conversation to the prompt that a chat model was trained on.

Model folders carry the format as a jinja2 template. It runs in jinja2's sandbox, and it never sees what the messages
say: while it runs, each content is a placeholder that nobody can guess, and afterwards is put in as plain text. So no
content can write a control token, open a turn of its own or run as template code.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, get_args

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rag.errors import InvalidInput, ModelError
from rag.transformer.special_tokens import read_json
from rag.transformer.tokenization import Markup, TextTokenizer

Role = Literal["system", "user", "assistant"]
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""For models without a template. Nothing but their wording tells its turns apart, so a content can imitate one."""
PLAIN_STOPS = ("\nUser:", "\nSystem:", "\nAssistant:")

_TEMPLATE_FAILURES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What jinja2 lets through of the mistakes in a template's own expressions."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


class ChatTemplate:
    """A template, the names of the special tokens that it may write, and the tokenizer that reads the outcome.

    ``stops`` are the texts that end a turn where no token does: pass them to the generation options.

    Raises:
        ModelError: the template is no valid jinja2.
    """

    def __init__(self, tokenizer: TextTokenizer, template: str | None, special: Mapping[str, str]) -> None:
        self._tokenizer = tokenizer
        self._special = dict(special)
        self._source = template
        self.stops: tuple[str, ...] = PLAIN_STOPS if template is None else ()
        try:
            self._template = _environment().from_string(PLAIN_TEMPLATE if template is None else template)
        except TemplateError as error:
            raise ModelError(f"The chat template is no valid jinja2: {error}") from error

    @classmethod
    def load(cls, folder: Path, tokenizer: TextTokenizer | None = None) -> Self:
        """Load ``chat_template.jinja`` of a model folder, or else the template in its ``tokenizer_config.json``.

        A folder without a template gets ``PLAIN_TEMPLATE``. ``tokenizer`` saves loading the folder's a second time.

        Raises:
            ModelError: a file is damaged, or the tokenizer is missing.
        """
        config = read_json(folder / "tokenizer_config.json")
        names = {key: value.get("content") if isinstance(value, dict) else value for key, value in config.items()}
        special = {key: name for key, name in names.items() if key.endswith("_token") and isinstance(name, str)}
        return cls(tokenizer or TextTokenizer.load(folder), _template_of(folder, config), special)

    def save(self, folder: Path) -> None:
        """Write ``chat_template.jinja``; nothing for the plain template. The tokenizer is saved by itself."""
        if self._source is not None:
            (folder / "chat_template.jinja").write_text(self._source, encoding="utf-8")

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        choices: Mapping[str, object] | None = None,
        now: datetime | None = None,
    ) -> list[int]:
        """The token ids of a conversation.

        Args:
            messages: the turns, oldest first.
            add_generation_prompt: whether to open the turn in which the model is to answer.
            choices: what the template itself leaves open, such as ``enable_thinking``.
            now: the moment that templates which write a date are told; None for the present one.

        Raises:
            InvalidInput: there is no message, a role is unknown, or the template refuses the order of the messages.
            ModelError: the template fails, or leaves out what the user says.
        """
        if not messages:
            raise InvalidInput("A conversation needs at least one message.")
        for message in messages:
            if message.role not in get_args(Role):
                raise InvalidInput(f"Unknown role {message.role!r}: use one of {', '.join(get_args(Role))}.")
        # Digits and private-use characters, so that templates that change case do not change it.
        key = secrets.randbits(128)
        shown = [_veil(message.content, f"\ue000{key}:{i}\ue001") for i, message in enumerate(messages)]
        text = self._fill_in(
            choices or {},
            now or datetime.now(),
            messages=[{"role": m.role, "content": content} for m, content in zip(messages, shown, strict=True)],
            add_generation_prompt=add_generation_prompt,
        )
        pieces = re.split(f"\ue000{key}:([0-9]+)\ue001", text)
        places = [int(place) for place in pieces[1::2]]
        for i, message in enumerate(messages):
            if message.role == "user" and message.content.strip() and i not in places:
                raise ModelError("The chat template leaves out what the user says.")
        # Pieces alternate: what the template wrote, then the number of the message whose content goes there.
        return self._tokenizer.encode_parts(
            Markup(piece) if n % 2 == 0 else messages[int(piece)].content.strip() for n, piece in enumerate(pieces)
        )

    def _fill_in(self, choices: Mapping[str, object], now: datetime, **given: object) -> str:
        variables: dict[str, object] = {**self._special, "tools": None, "documents": None, **choices, **given}
        try:
            return self._template.render(variables, strftime_now=now.strftime)
        except (TemplateError, *_TEMPLATE_FAILURES) as error:
            raise ModelError(f"The chat template fails: {error}") from error


def _veil(content: str, placeholder: str) -> str:
    """The placeholder between the white space around ``content``, for templates to trim; blank contents as they are."""
    stripped = content.strip()
    return content.replace(stripped, placeholder) if stripped else content


def _template_of(folder: Path, config: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{path} is damaged: {error}") from error
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise ModelError(f"{folder / 'tokenizer_config.json'} is damaged: its chat_template is no text.")
    return template


class _GenerationTag(Extension):
    """``{% generation %}``, with which some templates mark what the model is trained on: of no effect here."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    """The sandbox with what chat templates count on, and nothing more."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, "jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    environment.filters["tojson"] = _to_json
    return environment


def _refuse(message: str) -> NoReturn:
    raise InvalidInput(f"The model's chat template refuses these messages: {message}")


def _to_json(value: object, indent: int | None = None) -> str:
    # jinja2's own filter writes HTML escapes.
    return json.dumps(value, ensure_ascii=False, indent=indent)
