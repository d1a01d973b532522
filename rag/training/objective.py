"""The reader's training objective: four losses over one shared encoding. Shapes as in ``rag.reader.model``."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rag.reader.model import NEGATIVE, Encoded, Memory, ReaderModel
from rag.training.batches import ReaderBatch
from rag.training.training_objective import BatchLoss

POSITION_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class ReaderLosses:
    """Mean losses in nats: ``span`` per border, ``token`` and ``position`` per target token, ``relevance`` per pair."""

    span: Tensor
    token: Tensor
    position: Tensor
    relevance: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.span + self.token + POSITION_WEIGHT * self.position + self.relevance


def reader_objective(model: ReaderModel, batch: ReaderBatch) -> BatchLoss:
    """What the trainer minimises, counted by questions; the metrics are the four losses."""
    losses, num = reader_losses(model, batch), len(batch)
    parts = {name: float(getattr(losses, name).detach()) * num for name in ("span", "token", "position", "relevance")}
    return BatchLoss(losses.total * num, num, parts)


def reader_losses(model: ReaderModel, batch: ReaderBatch) -> ReaderLosses:
    """Run the model on a batch.

    - span: the answer's borders, found twice over: among all positions of all passages of the question, normalised
      together (Clark and Gardner, 2018), and in each passage alone, where "no answer" is one of the positions
      (Devlin et al., 2019, section 4.3);
    - token: the answer's tokens, copied from anywhere or written (the pointer-generator's own loss);
    - position: the answer's tokens copied from where they stand, which teaches the pointer sooner than token alone;
    - relevance: does this passage hold the answer, and does it more likely than the question's other passages.
    """
    encoded = model.encode(batch.pairs)
    memory = model.remember(encoded, batch.pairs, batch.pairs_QG)
    token_N, copy_NS = model.score_targets(batch.input_QT, batch.copied_from_QT, memory, batch.target_QT)
    position_N = batch.position_QT[batch.target_QT >= 0]
    copied_N = position_N >= 0
    position = copy_NS.gather(-1, position_N.clamp(min=0)[:, None]).squeeze(-1)[copied_N]
    return ReaderLosses(
        span=(_span_among_all(memory, batch) + _span_in_each(encoded, batch)) / 2,
        token=-token_N.mean(),
        position=-position.mean(),
        relevance=_relevance(encoded, batch),
    )


def _span_among_all(memory: Memory, batch: ReaderBatch) -> Tensor:
    # The right passage is the first of each question's, so that places in it are places in the memory.
    Q = memory.start_QS.shape[0]
    absent_QS = ~memory.copyable_QS
    start = F.cross_entropy(memory.start_QS.masked_fill(absent_QS, NEGATIVE), batch.first_P[:Q])
    end = F.cross_entropy(memory.end_QS.masked_fill(absent_QS, NEGATIVE), batch.last_P[:Q])
    return (start + end) / 2


def _span_in_each(encoded: Encoded, batch: ReaderBatch) -> Tensor:
    start_PL = torch.cat([encoded.start_null_P[:, None], encoded.start_PL[:, 1:]], dim=1)
    end_PL = torch.cat([encoded.end_null_P[:, None], encoded.end_PL[:, 1:]], dim=1)
    return (F.cross_entropy(start_PL, batch.first_P) + F.cross_entropy(end_PL, batch.last_P)) / 2


def _relevance(encoded: Encoded, batch: ReaderBatch) -> Tensor:
    each = F.binary_cross_entropy_with_logits(encoded.relevance_P, batch.relevant_P)
    rivals_QG = batch.pairs_QG[(batch.pairs_QG >= 0).sum(dim=1) > 1]
    if not len(rivals_QG):
        return each
    scores_QG = encoded.relevance_P[rivals_QG.clamp(min=0)].masked_fill(rivals_QG < 0, NEGATIVE)
    among = F.cross_entropy(scores_QG, torch.zeros(len(scores_QG), dtype=torch.long, device=scores_QG.device))
    return each + among / 2
