"""The three objectives of text: the next token, the missing token, the next token of an answer to a source.

Losses are in nats per predicted token; ``accuracy`` is the share of those that the model finds likeliest. Shapes as in
``text_batches.py``, with V the vocabulary and N the predicted tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rag.training.text_batches import MaskedBatch, PairBatch, TokenBatch
from rag.training.training_objective import BatchLoss


def causal_language_modelling(model: nn.Module, batch: TokenBatch) -> BatchLoss:
    """Predict each token from those before it; ``model`` is called as ``LanguageModel`` is.

    It is told nothing of the padding: that stands on the right, where no token that counts can see it.
    """
    logits_BTV: Tensor = model(batch.ids_BT[:, :-1])
    return _next_tokens(logits_BTV, batch.ids_BT, batch.valid_BT)


def masked_language_modelling(model: nn.Module, batch: MaskedBatch) -> BatchLoss:
    """Find the tokens that were blanked out, from both sides; ``model`` is called as ``MaskedLanguageModel`` is."""
    logits_NV: Tensor = model(batch.ids_BT, batch.valid_BT, select=batch.chosen_BT)
    return _token_loss(logits_NV, batch.targets_BT[batch.chosen_BT])


def sequence_to_sequence(model: nn.Module, batch: PairBatch) -> BatchLoss:
    """Predict each token of the target from the source and the target's true tokens before it (teacher forcing).

    ``model`` is called as ``SequenceToSequence`` is (Williams and Zipser, 1989, named the method).
    """
    logits_BTV: Tensor = model(batch.source_BS, batch.source_valid_BS, batch.target_BT[:, :-1])
    return _next_tokens(logits_BTV, batch.target_BT, batch.target_valid_BT)


def _next_tokens(logits_BTV: Tensor, ids_BT: Tensor, valid_BT: Tensor) -> BatchLoss:
    """The loss of logits that stand one position before the token they predict."""
    predicted_BT = valid_BT[:, 1:]
    return _token_loss(logits_BTV[predicted_BT], ids_BT[:, 1:][predicted_BT])


def _token_loss(logits_NV: Tensor, targets_N: Tensor) -> BatchLoss:
    total = F.cross_entropy(logits_NV.float(), targets_N, reduction="sum")
    with torch.no_grad():
        num_right = float((logits_NV.argmax(dim=-1) == targets_N).sum())
    return BatchLoss(total, len(targets_N), {"accuracy": num_right})
