"""The reader's training objective: four losses over one shared encoding. Shapes as in ``rag.reader.model``.

With teachers, readers trained before, the start/end head and the relevance head learn what these say of the same
passages beside what is right: knowledge distillation (Hinton et al., 2015), here from the mean of several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rag.reader.model import NEGATIVE, Encoded, ReaderModel, lay_pairs
from rag.training.batches import ReaderBatch
from rag.training.training_objective import BatchLoss

POSITION_WEIGHT = 0.5
TEACHERS_SHARE = 0.7
"""How much the teachers' word counts beside the right answer's. Several trained readers know more of a question than
the one span that was marked in it, and make fewer of its mistakes."""
TEMPERATURE = 2.0
"""Softens the teachers' distributions and the model's alike, so that the less likely places count too."""


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


class ReaderObjective:
    """What the trainer minimises, counted by questions; the metrics are the four losses."""

    def __init__(self, teachers: Sequence[ReaderModel] = ()) -> None:
        """``teachers`` are on the device of the model that learns, in evaluation mode."""
        self._teachers = teachers

    def __call__(self, model: ReaderModel, batch: ReaderBatch) -> BatchLoss:
        """The loss of a model on a batch."""
        taught = teach(self._teachers, batch) if self._teachers else None
        losses, num = reader_losses(model, batch, taught), len(batch)
        names = ("span", "token", "position", "relevance")
        return BatchLoss(losses.total * num, num, {n: float(getattr(losses, n).detach()) * num for n in names})


@dataclass(frozen=True, slots=True)
class HeadScores:
    """Logits of the heads, float32: borders in each pair with "no answer" in the first place, the same over all pairs
    of each question, and the relevance of each pair."""

    start_PL: Tensor
    end_PL: Tensor
    start_QS: Tensor
    end_QS: Tensor
    relevance_P: Tensor

    @property
    def borders(self) -> tuple[Tensor, ...]:
        """The four that are normalised over their last dimension."""
        return self.start_PL, self.end_PL, self.start_QS, self.end_QS


def head_scores(encoded: Encoded, batch: ReaderBatch) -> HeadScores:
    """What the heads say of a batch."""
    absent_QS = (batch.pairs_QG < 0).repeat_interleave(batch.pairs.ids_PL.shape[1], dim=1)
    start_QS, end_QS = (
        lay_pairs(x_PL, batch.pairs_QG).masked_fill(absent_QS, NEGATIVE) for x_PL in (encoded.start_PL, encoded.end_PL)
    )
    return HeadScores(
        torch.cat([encoded.start_null_P[:, None], encoded.start_PL[:, 1:]], dim=1),
        torch.cat([encoded.end_null_P[:, None], encoded.end_PL[:, 1:]], dim=1),
        start_QS,
        end_QS,
        encoded.relevance_P,
    )


@torch.no_grad()
def teach(teachers: Sequence[ReaderModel], batch: ReaderBatch) -> HeadScores:
    """The mean of what one or more teachers' heads say of a batch."""
    said = [head_scores(teacher.encode(batch.pairs), batch) for teacher in teachers]
    same = zip(*((*one.borders, one.relevance_P) for one in said), strict=True)
    return HeadScores(*(torch.stack(scores).mean(dim=0) for scores in same))


def reader_losses(model: ReaderModel, batch: ReaderBatch, taught: HeadScores | None = None) -> ReaderLosses:
    """Run the model on a batch.

    - span: the answer's borders, found twice over: among all positions of all passages of the question, normalised
      together (Clark and Gardner, 2018), and in each passage alone, where "no answer" is one of the positions
      (Devlin et al., 2019, section 4.3);
    - token: the answer's tokens, copied from anywhere or written (the pointer-generator's own loss);
    - position: the answer's tokens copied from where they stand, which teaches the pointer sooner than token alone;
    - relevance: does this passage hold the answer, and does it more likely than the question's other passages.

    ``taught`` is what teachers say of the batch; span and relevance are then mixed with the distance from it.
    """
    encoded = model.encode(batch.pairs)
    memory = model.remember(encoded, batch.pairs, batch.pairs_QG)
    token_N, copy_NS = model.score_targets(batch.input_QT, batch.copied_from_QT, memory, batch.target_QT)
    position_N = batch.position_QT[batch.target_QT >= 0]
    copied_N = position_N >= 0
    position = copy_NS.gather(-1, position_N.clamp(min=0)[:, None]).squeeze(-1)[copied_N]
    heads = head_scores(encoded, batch)
    span, relevance = _span(heads, batch), _relevance(heads, batch)
    if taught is not None:
        distances = [_distance(mine, theirs) for mine, theirs in zip(heads.borders, taught.borders, strict=True)]
        span = torch.lerp(span, torch.stack(distances).mean(), TEACHERS_SHARE)
        relevance = torch.lerp(relevance, _relevance_distance(heads, taught), TEACHERS_SHARE)
    return ReaderLosses(span=span, token=-token_N.mean(), position=-position.mean(), relevance=relevance)


def _span(heads: HeadScores, batch: ReaderBatch) -> Tensor:
    # The right passage is the first of each question's, so that places in it are places among all.
    Q = len(batch)
    rights = (batch.first_P, batch.last_P, batch.first_P[:Q], batch.last_P[:Q])
    losses = [F.cross_entropy(scores, right) for scores, right in zip(heads.borders, rights, strict=True)]
    return torch.stack(losses).mean()


def _relevance(heads: HeadScores, batch: ReaderBatch) -> Tensor:
    each = F.binary_cross_entropy_with_logits(heads.relevance_P, batch.relevant_P)
    rivals_QG = batch.pairs_QG[(batch.pairs_QG >= 0).sum(dim=1) > 1]
    if not len(rivals_QG):
        return each
    scores_QG = heads.relevance_P[rivals_QG.clamp(min=0)].masked_fill(rivals_QG < 0, NEGATIVE)
    among = F.cross_entropy(scores_QG, torch.zeros(len(scores_QG), dtype=torch.long, device=scores_QG.device))
    return each + among / 2


def _distance(mine: Tensor, theirs: Tensor) -> Tensor:
    """The divergence of softened distributions over the last dimension, scaled so that its gradient does not shrink."""
    mine, theirs = ((logits / TEMPERATURE).log_softmax(dim=-1) for logits in (mine, theirs))
    return F.kl_div(mine, theirs, log_target=True, reduction="batchmean") * TEMPERATURE**2


def _relevance_distance(heads: HeadScores, taught: HeadScores) -> Tensor:
    """The same for relevant or not: a logit against 0 is a distribution over two."""
    mine_P2, theirs_P2 = (F.pad(one.relevance_P[:, None], (0, 1)) for one in (heads, taught))
    return _distance(mine_P2, theirs_P2)
