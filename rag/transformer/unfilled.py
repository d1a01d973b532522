"""Models without weights, to be filled from a file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _WithoutInitialWeights(TorchFunctionMode):
    """Passes over the drawing of initial weights."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],  # noqa: ARG002
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return (kwargs or {}).get("tensor", *args[:1])
        return func(*args, **(kwargs or {}))


@contextmanager
def unfilled() -> Iterator[None]:
    """What is made inside has shapes but no weights: tensors on the meta device.

    torch would "draw" weights there as well, and for that import its compiler, which takes two seconds.
    """
    with torch.device("meta"), _WithoutInitialWeights():
        yield
