"""The reader's training objective: four losses over one shared encoding. Shapes as in ``rag.reader.model``."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from rag.reader.model import ReaderModel
from rag.training.batches import ReaderBatch

RELEVANCE_WEIGHT = 0.5
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
        return self.span + self.token + POSITION_WEIGHT * self.position + RELEVANCE_WEIGHT * self.relevance


def reader_losses(model: ReaderModel, batch: ReaderBatch) -> ReaderLosses:
    """Run the model on a batch.

    - span: the answer's borders among all positions of all passages of the question, normalised together
      (shared normalisation: Clark and Gardner, 2018);
    - token: the answer's tokens, copied from anywhere or written (the pointer-generator's own loss);
    - position: the answer's tokens copied from where they stand, which teaches the pointer sooner than token alone;
    - relevance: does this passage hold the answer.
    """
    encoded = model.encode(batch.pairs)
    memory = model.remember(encoded, batch.pairs, batch.pairs_QG)
    absent_QS = ~memory.copyable_QS
    start_QS = memory.start_QS.masked_fill(absent_QS, -1e4)
    end_QS = memory.end_QS.masked_fill(absent_QS, -1e4)
    span = (F.cross_entropy(start_QS, batch.first_Q) + F.cross_entropy(end_QS, batch.last_Q)) / 2

    scores, _ = model.step(batch.input_QT, batch.copied_from_QT, memory)
    real_QT = batch.target_QT >= 0
    token_QT = model.token_log_probs(scores, memory, batch.target_QT.clamp(min=0))
    copied_QT = batch.position_QT >= 0
    position_QT = scores.copy_QTS.gather(-1, batch.position_QT.clamp(min=0)[..., None]).squeeze(-1)
    return ReaderLosses(
        span=span,
        token=-token_QT[real_QT].mean(),
        position=-position_QT[copied_QT].mean(),
        relevance=F.binary_cross_entropy_with_logits(encoded.relevance_P, batch.relevant_P),
    )
