"""The weights that an untrained model starts from."""

import math

from torch import nn

STANDARD_DEVIATION = 0.02


def start_weights(model: nn.Module, *, num_layers: int) -> None:
    """Draw all matrices from N(0, 0.02²), as GPT-2 does (Radford et al., 2019); biases are 0.

    The maps that write into the residual stream are smaller by √(2 · num_layers), so that the sum over the layers
    starts out as large in a deep model as in a shallow one.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            writes = name.endswith((".output", ".down"))
            scale = 1 / math.sqrt(2 * num_layers) if writes else 1.0
            nn.init.normal_(module.weight, std=STANDARD_DEVIATION * scale)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=STANDARD_DEVIATION)
