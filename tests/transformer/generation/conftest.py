"""Models to decode with: small ones that are computed from a table, and a real one with random weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.tokenization import TextTokenizer

TEXTS = [
    "The support rota is kept by Ada; it changes on Mondays.",
    "Ada keeps the rota, and the rota keeps Ada: the café opens at nine, said Zoë.",
    "User: who keeps the rota?\nAssistant: Ada does. 🙂 漢字",
]


@dataclass(frozen=True)
class TableSizes:
    vocabulary: int
    max_positions: int = 200


class TableCache:
    """Remembers the tokens themselves."""

    def __init__(self, batch_size: int, capacity: int) -> None:
        # One position more, padding, stands before the first.
        self.ids_BS = torch.full((batch_size, 1), -1)
        self.capacity = capacity

    def append(self, ids_BT: Tensor, valid_BT: Tensor | None) -> None:
        ids_BT = ids_BT if valid_BT is None else ids_BT.where(valid_BT, -1)
        self.ids_BS = torch.cat([self.ids_BS, ids_BT], dim=1)
        assert self.length <= self.capacity

    @property
    def length(self) -> int:
        return self.ids_BS.shape[1] - 1

    def truncate(self, length: int) -> None:
        self.ids_BS = self.ids_BS[:, : length + 1]

    def select(self, rows: Tensor) -> None:
        self.ids_BS = self.ids_BS[rows]


class TableModel(nn.Module):
    """Logits looked up by the last token and the one before: exact, whatever the batch."""

    def __init__(self, vocabulary: int, *, seed: int = 0, spread: float = 3.0, max_positions: int = 200) -> None:
        super().__init__()
        self.config = TableSizes(vocabulary, max_positions)
        generator = torch.Generator().manual_seed(seed)
        self.last_VV = nn.Parameter(torch.randn(vocabulary, vocabulary, generator=generator) * spread)
        self.before_VV = nn.Parameter(torch.randn(vocabulary, vocabulary, generator=generator) * spread)
        self.passes: list[tuple[int, ...]] = []

    def new_cache(self, batch_size: int, capacity: int) -> TableCache:
        return TableCache(batch_size, capacity)

    def forward(self, ids_BT: Tensor, *, valid_BT: Tensor | None, cache: TableCache, last: int) -> Tensor:
        self.passes.append(tuple(ids_BT.shape))
        cache.append(ids_BT, valid_BT)
        here_BT, before_BT = cache.ids_BS[:, -last:], cache.ids_BS[:, -last - 1 : -1]
        return self.last_VV[here_BT] + self.before_VV[before_BT] * (before_BT >= 0)[..., None]


class ScriptModel(nn.Module):
    """Writes ``script`` after a prompt of one token, whatever it reads."""

    def __init__(self, script: Sequence[int], vocabulary: int) -> None:
        super().__init__()
        self.config = TableSizes(vocabulary)
        self.script = list(script)
        self.weight = nn.Parameter(torch.zeros(1))

    def new_cache(self, batch_size: int, capacity: int) -> TableCache:
        return TableCache(batch_size, capacity)

    def forward(self, ids_BT: Tensor, *, valid_BT: Tensor | None, cache: TableCache, last: int) -> Tensor:
        cache.append(ids_BT, valid_BT)
        logits = torch.zeros(*ids_BT.shape, self.config.vocabulary)
        for place in range(ids_BT.shape[1]):
            at = cache.length - ids_BT.shape[1] + place
            logits[:, place, self.script[min(at, len(self.script) - 1)]] = 9.0
        return logits[:, -last:]


@pytest.fixture(scope="session")
def tokenizer() -> TextTokenizer:
    """Bytes and a few merges."""
    return TextTokenizer.train_byte_level_bpe(TEXTS * 3, 320)


@pytest.fixture
def make_table_model() -> Callable[..., TableModel]:
    """Makes models that are exact in any batch."""

    def make(vocabulary: int, **settings: float) -> TableModel:
        return TableModel(vocabulary, **settings).eval()

    return make


@pytest.fixture
def table_model(make_table_model: Callable[..., TableModel], tokenizer: TextTokenizer) -> TableModel:
    """A model that is exact in any batch, over the tokenizer's vocabulary."""
    return make_table_model(tokenizer.vocabulary_size)


@pytest.fixture(scope="session")
def language_model(tokenizer: TextTokenizer) -> LanguageModel:
    """A small Llama with random weights, large enough to make its choices clear."""
    torch.manual_seed(0)
    config = LanguageModelConfig(
        vocabulary=tokenizer.vocabulary_size,
        width=32,
        num_layers=2,
        num_heads=4,
        num_key_value_heads=2,
        hidden=64,
        max_positions=128,
    )
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.fixture
def script_model(tokenizer: TextTokenizer) -> Callable[[str], ScriptModel]:
    """Makes a model that writes a text and the end token."""

    def make(text: str) -> ScriptModel:
        end = min(tokenizer.end_ids)
        return ScriptModel([*tokenizer.encode(text), end], tokenizer.vocabulary_size).eval()

    return make


@pytest.fixture(params=["table", "transformer"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    """Each model in turn."""
    chosen: nn.Module = request.getfixturevalue("table_model" if request.param == "table" else "language_model")
    return chosen
