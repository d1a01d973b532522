"""The reader's network: encoder, heads, and a decoder that copies or writes.

Fusion-in-Decoder (Izacard and Grave, 2021) with a pointer-generator (See et al., 2017), a start/end head (Devlin et
al., 2019) and a relevance head.

Each (question, passage) pair is encoded alone. The heads read the pairs; the decoder attends over all pairs of a
question at once, and at each step either copies a passage token or writes a vocabulary token.

Shapes: P pairs, L pair length, Q questions, G pairs per question, S = G * L memory positions, T target length,
D model width, V vocabulary. A question's memory is its pairs' states, one after the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rag.reader.input_format import PairBatch, like_lengths
from rag.transformer.attention import KeyValue
from rag.transformer.models import Decoder, Encoder

NEGATIVE = -1e4
"""Stands for minus infinity in masks: finite, so that a row with nothing allowed stays free of NaN, also in bf16."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder and its heads say about P pairs. Logits are float32; masked positions hold ``NEGATIVE``.

    ``start_null_P`` and ``end_null_P`` are the start/end head at the first token: "this passage has no answer".
    """

    states_PLD: Tensor
    start_PL: Tensor
    end_PL: Tensor
    start_null_P: Tensor
    end_null_P: Tensor
    relevance_P: Tensor


@dataclass(frozen=True, slots=True)
class Memory:
    """What the decoder attends over for Q questions, ``num_pairs`` (G) pairs each."""

    layers: Sequence[KeyValue]
    pointer_QSD: Tensor
    valid_QS: Tensor
    copyable_QS: Tensor
    ids_QS: Tensor
    start_QS: Tensor
    end_QS: Tensor
    num_pairs: int


@dataclass(frozen=True, slots=True)
class StepScores:
    """Log-probabilities of T next tokens, split by how they come about: all float32, each adds up over its two parts.

    ``copy_QTS`` is log P(copy) + log P(position | copy); ``write_QTV`` is log P(write) + log P(token | write).
    """

    copy_QTS: Tensor
    write_QTV: Tensor


def lay_pairs(x_PL: Tensor, pairs_QG: Tensor) -> Tensor:
    """What belongs to P pairs, (P, L, …), laid out by question: (Q, S, …). Pairs of -1 are filled with the first."""
    return x_PL[pairs_QG.clamp(min=0)].flatten(1, 2)


class ReaderModel(nn.Module):
    """The network. Its token embeddings stay as the encoder brought them, so that they need not be stored twice."""

    def __init__(self, encoder: Encoder, *, num_decoder_layers: int) -> None:
        super().__init__()
        shape = encoder.shape
        self.width = shape.width
        self.encoder = encoder
        self.encoder.embedding.token.weight.requires_grad_(False)
        self.span = nn.Linear(shape.width, 2)
        self.relevance = nn.Sequential(nn.Linear(shape.width, shape.width), nn.Tanh(), nn.Linear(shape.width, 1))
        self.decoder = Decoder(shape, num_layers=num_decoder_layers)
        self.pointer_query = nn.Linear(shape.width, shape.width)
        self.pointer_key = nn.Linear(shape.width, shape.width)
        self.copy_gate = nn.Linear(shape.width, 1)
        self.write = nn.Linear(shape.width, shape.width)
        self.write_bias = nn.Parameter(torch.zeros(encoder.embedding.token.num_embeddings))
        # How far the pointer trusts the start/end head, and how strongly it goes on with the next source token.
        self.start_trust = nn.Parameter(torch.tensor(0.5))
        self.successor_trust = nn.Parameter(torch.tensor(2.0))
        self.end_trust = nn.Parameter(torch.tensor(0.5))

    def warm_start_decoder(self) -> None:
        """Start the decoder from the encoder's last layers, cross-attention from self-attention."""
        layers = list(self.encoder.layers)[-len(self.decoder.layers) :]
        for mine, theirs in zip(self.decoder.layers, layers, strict=True):
            source = theirs.state_dict()
            crossed = {f"cross_{name}": tensor for name, tensor in source.items() if name.startswith("attention")}
            mine.load_state_dict({**source, **crossed})

    def encode(self, batch: PairBatch) -> Encoded:
        """Encode pairs, each alone, and read the heads."""
        states_PLD = self._read(batch)
        span_PL2 = self.span(states_PLD).float()
        start_null_P, end_null_P = span_PL2[:, 0].unbind(-1)
        start_PL, end_PL = span_PL2.masked_fill(~batch.copyable_PL[..., None], NEGATIVE).unbind(-1)
        relevance_P = self.relevance(states_PLD[:, 0]).float().squeeze(-1)
        return Encoded(states_PLD, start_PL, end_PL, start_null_P, end_null_P, relevance_P)

    def _read(self, batch: PairBatch) -> Tensor:
        """The encoder's states (P, L, D); those of padding mean nothing.

        Training batches are of like length anyway, and a GPU loses more by waiting for the lengths than by padding.
        """
        groups = [] if self.training or batch.ids_PL.is_cuda else like_lengths(batch.valid_PL)
        if len(groups) <= 1:
            states_PLD: Tensor = self.encoder(batch.ids_PL, segments_BT=batch.segments_PL, valid_BT=batch.valid_PL)
            return states_PLD
        parts = [
            self.encoder(
                batch.ids_PL[places, :length],
                segments_BT=batch.segments_PL[places, :length],
                valid_BT=batch.valid_PL[places, :length],
            )
            for places, length in groups
        ]
        states_PLD = parts[0].new_zeros(*batch.ids_PL.shape, self.width)
        for (places, length), part_PLD in zip(groups, parts, strict=True):
            states_PLD[places, :length] = part_PLD
        return states_PLD

    def remember(self, encoded: Encoded, batch: PairBatch, pairs_QG: Tensor) -> Memory:
        """Lay the pairs of each question one after the other.

        ``pairs_QG`` holds indices into the P pairs; -1 fills up questions that have fewer.
        """
        there_QG = pairs_QG >= 0
        index = pairs_QG.clamp(min=0)
        Q, G = pairs_QG.shape

        def lay(x_PL: Tensor) -> Tensor:
            return lay_pairs(x_PL, pairs_QG)

        def lay_heads(x_PHLK: Tensor) -> Tensor:
            x_QGHLK = x_PHLK[index]
            H, L, K = x_QGHLK.shape[2:]
            return x_QGHLK.transpose(1, 2).reshape(Q, H, G * L, K)

        there_QS = there_QG.repeat_interleave(batch.ids_PL.shape[1], dim=1)
        layers = [
            KeyValue(lay_heads(layer.key_BHSK), lay_heads(layer.value_BHSK))
            for layer in self.decoder.project(encoded.states_PLD)
        ]
        return Memory(
            layers=layers,
            pointer_QSD=lay(self.pointer_key(encoded.states_PLD)),
            valid_QS=lay(batch.valid_PL) & there_QS,
            copyable_QS=lay(batch.copyable_PL) & there_QS,
            ids_QS=lay(batch.ids_PL),
            start_QS=lay(encoded.start_PL),
            end_QS=lay(encoded.end_PL),
            num_pairs=G,
        )

    def step(
        self,
        ids_QT: Tensor,
        copied_from_QT: Tensor,
        memory: Memory,
        *,
        past: Sequence[KeyValue] | None = None,
        num_past: int = 0,
    ) -> tuple[StepScores, list[KeyValue]]:
        """Score what follows each of T tokens.

        Args:
            ids_QT: the tokens so far, begin token first (with ``past``: only the new ones).
            copied_from_QT: the memory position each was copied from; -1 where it was written.
            memory: what to read.
            past: the cache that the last call returned.
            num_past: how many positions it holds.
        """
        h_QTD, grown = self._decode(ids_QT, memory, past=past, num_past=num_past)
        copy_QTS, write_QT = self._point(h_QTD, copied_from_QT, memory, num_past=num_past)
        return StepScores(copy_QTS, write_QT[..., None] + self._write(h_QTD)), grown

    def score_targets(
        self, ids_QT: Tensor, copied_from_QT: Tensor, memory: Memory, targets_QT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Score given targets, one forward pass for all; targets below 0 are padding.

        The vocabulary, which costs most, is computed for the N real targets alone.

        Returns:
            log P(target), copying from any place that holds the token and writing it both counted, (N,); and the
            log-probabilities of copying from each memory position there, (N, S). N runs over rows, then over steps.
        """
        h_QTD, _ = self._decode(ids_QT, memory, past=None, num_past=0)
        copy_QTS, write_QT = self._point(h_QTD, copied_from_QT, memory, num_past=0)
        real_QT = targets_QT >= 0
        targets_N = targets_QT[real_QT]
        rows_N = real_QT.nonzero()[:, 0]
        copy_NS = copy_QTS[real_QT]
        written_N = write_QT[real_QT] + self._write(h_QTD[real_QT]).gather(-1, targets_N[:, None]).squeeze(-1)
        same_NS = memory.ids_QS[rows_N] == targets_N[:, None]
        copied_N = copy_NS.masked_fill(~same_NS, NEGATIVE).logsumexp(dim=-1)
        return torch.logaddexp(copied_N, written_N), copy_NS

    def _decode(
        self, ids_QT: Tensor, memory: Memory, *, past: Sequence[KeyValue] | None, num_past: int
    ) -> tuple[Tensor, list[KeyValue]]:
        x_QTD = self.encoder.embedding(ids_QT, offset=num_past)
        h_QTD, grown = self.decoder(x_QTD, memory=memory.layers, memory_valid_BS=memory.valid_QS, past=past)
        return h_QTD, grown

    def _point(self, h_QTD: Tensor, copied_from_QT: Tensor, memory: Memory, *, num_past: int) -> tuple[Tensor, Tensor]:
        """log P(copy) + log P(position | copy), (Q, T, S), and log P(write), (Q, T)."""
        gate_QT = self.copy_gate(h_QTD).float().squeeze(-1)
        point_QTS = (self.pointer_query(h_QTD) @ memory.pointer_QSD.transpose(1, 2)).float() / math.sqrt(self.width)
        T = h_QTD.shape[1]
        first_T = torch.arange(num_past, num_past + T, device=h_QTD.device) == 0
        copied_QT = copied_from_QT >= 0
        # The first token starts where the start head points; a later one tends to stand right after the last one.
        point_QTS = point_QTS + self.start_trust * first_T[:, None] * memory.start_QS[:, None, :]
        positions_S = torch.arange(point_QTS.shape[2], device=h_QTD.device)
        successor_QTS = copied_QT[..., None] & (positions_S == copied_from_QT[..., None] + 1)
        point_QTS = point_QTS + self.successor_trust * successor_QTS
        point_QTS = point_QTS.masked_fill(~memory.copyable_QS[:, None, :], NEGATIVE)
        # Where the end head sees an end, copying stops.
        end_QT = memory.end_QS.gather(1, copied_from_QT.clamp(min=0)) * copied_QT
        gate_QT = gate_QT - self.end_trust * end_QT
        return F.logsigmoid(gate_QT)[..., None] + F.log_softmax(point_QTS, dim=-1), F.logsigmoid(-gate_QT)

    def _write(self, h_XD: Tensor) -> Tensor:
        """log P(token | write) over the vocabulary, for states of any leading shape."""
        hidden_XD = F.gelu(self.write(h_XD))
        scores_XV = F.linear(hidden_XD, self.encoder.embedding.token.weight).float() + self.write_bias
        return F.log_softmax(scores_XV, dim=-1)
