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

from rag.reader.input_format import PairBatch
from rag.transformer.attention import KeyValue
from rag.transformer.models import Decoder, Encoder

NEGATIVE = -1e4
"""Stands for minus infinity in masks: finite, so that a row with nothing allowed stays free of NaN, also in bf16."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder and its heads say about P pairs. Logits are float32; masked positions hold ``NEGATIVE``."""

    states_PLD: Tensor
    start_PL: Tensor
    end_PL: Tensor
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
        states_PLD = self.encoder(batch.ids_PL, segments_BT=batch.segments_PL, valid_BT=batch.valid_PL)
        span_PL2 = self.span(states_PLD).float().masked_fill(~batch.copyable_PL[..., None], NEGATIVE)
        relevance_P = self.relevance(states_PLD[:, 0]).float().squeeze(-1)
        return Encoded(states_PLD, span_PL2[..., 0], span_PL2[..., 1], relevance_P)

    def remember(self, encoded: Encoded, batch: PairBatch, pairs_QG: Tensor) -> Memory:
        """Lay the pairs of each question one after the other.

        ``pairs_QG`` holds indices into the P pairs; -1 fills up questions that have fewer.
        """
        there_QG = pairs_QG >= 0
        index = pairs_QG.clamp(min=0)
        Q, G = pairs_QG.shape

        def lay(x_PL: Tensor) -> Tensor:
            return x_PL[index].flatten(1, 2)

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
        x_QTD = self.encoder.embedding(ids_QT, offset=num_past)
        h_QTD, grown = self.decoder(x_QTD, memory=memory.layers, memory_valid_BS=memory.valid_QS, past=past)
        gate_QT = self.copy_gate(h_QTD).float().squeeze(-1)
        point_QTS = (self.pointer_query(h_QTD) @ memory.pointer_QSD.transpose(1, 2)).float() / math.sqrt(self.width)
        first_QT = torch.arange(num_past, num_past + ids_QT.shape[1], device=ids_QT.device)[None, :] == 0
        copied_QT = copied_from_QT >= 0
        # The first token starts where the start head points; a later one tends to stand right after the last one.
        point_QTS = point_QTS + self.start_trust * first_QT[..., None] * memory.start_QS[:, None, :]
        positions_S = torch.arange(point_QTS.shape[2], device=ids_QT.device)
        successor_QTS = copied_QT[..., None] & (positions_S == copied_from_QT[..., None] + 1)
        point_QTS = point_QTS + self.successor_trust * successor_QTS
        point_QTS = point_QTS.masked_fill(~memory.copyable_QS[:, None, :], NEGATIVE)
        # Where the end head sees an end, copying stops.
        end_QT = memory.end_QS.gather(1, copied_from_QT.clamp(min=0)) * copied_QT
        gate_QT = gate_QT - self.end_trust * end_QT
        write_QTV = F.linear(F.gelu(self.write(h_QTD)), self.encoder.embedding.token.weight).float() + self.write_bias
        return (
            StepScores(
                F.logsigmoid(gate_QT)[..., None] + F.log_softmax(point_QTS, dim=-1),
                F.logsigmoid(-gate_QT)[..., None] + F.log_softmax(write_QTV, dim=-1),
            ),
            grown,
        )

    def token_log_probs(self, scores: StepScores, memory: Memory, targets_QT: Tensor) -> Tensor:
        """log P(target) at each step, copying from any place that holds the token and writing it both counted."""
        same_QTS = memory.ids_QS[:, None, :] == targets_QT[..., None]
        copied_QT = scores.copy_QTS.masked_fill(~same_QTS, NEGATIVE).logsumexp(dim=-1)
        written_QT = scores.write_QTV.gather(-1, targets_QT[..., None]).squeeze(-1)
        return torch.logaddexp(copied_QT, written_QT)
