"""A small transformer that reads tokens from left to right."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DROPOUT = 0.1
INITIAL_DEVIATION = 0.02
LONGEST_WAVE = 10000.0


@dataclass(frozen=True)
class Shape:
    """Tokens in the vocabulary and in a window, and the transformer's layers, width and heads."""

    vocabulary: int
    context: int
    layers: int
    width: int
    heads: int


class Transformer(nn.Module):
    """A decoder whose output layer is its embedding; it returns hidden states, from which the loss forms the logits.

    Blocks of attention and a GELU layer of four times the width, each behind a layer norm (Radford et al., 2019);
    positions enter by rotary embeddings of queries and keys (Su et al., 2021).

    Parameters
    ----------
    shape : Shape
    """

    angles: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.dropout = RowDropout()
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        half = shape.width // shape.heads // 2
        waves = LONGEST_WAVE ** (-torch.arange(half) / half)
        self.register_buffer("angles", torch.arange(shape.context)[:, None] * waves, persistent=False)

    @property
    def weight(self) -> Tensor:
        """The matrix (V, D) that is embedding and output layer at once."""
        return self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the hidden states (B, T, D) after each of the `tokens` (B, T)."""
        angles = self.angles[: tokens.shape[1]]
        turn = angles.cos(), angles.sin()
        hidden = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            hidden = block(hidden, turn)
        return self.norm(hidden)


class Block(nn.Module):
    """Causal self-attention, then a hidden layer for each token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width)
        self.layer_in = nn.Linear(width, 4 * width)
        self.layer_out = nn.Linear(4 * width, width)
        self.dropout = RowDropout()

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        hidden = hidden + self.dropout(self.attend(self.attention_norm(hidden), turn))
        layer = self.layer_out(F.gelu(self.layer_in(self.layer_norm(hidden))))
        return hidden + self.dropout(layer)

    def attend(self, hidden: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Attend from each token to itself and those before it; shapes are (B, T, D)."""
        by_head = self.queries_keys_values(hidden).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = by_head.permute(2, 0, 3, 1, 4)  # each (B, heads, T, D / heads)
        mixed = F.scaled_dot_product_attention(
            _turned(queries, turn), _turned(keys, turn), values, is_causal=True
        )
        return self.attention_out(mixed.transpose(1, 2).flatten(-2))


class RowDropout(nn.Module):
    """Dropout of a batch of which this process may have only some rows: it drops what one process would.

    The mask is drawn for all rows of the batch. `share` is a slice of them and their number, None if all are here.
    """

    share: tuple[slice, int] | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        if self.share is None or not self.training:
            return F.dropout(hidden, DROPOUT, self.training)
        rows, count = self.share
        return hidden * F.dropout(hidden.new_ones((count, *hidden.shape[1:])), DROPOUT)[rows]


def share_rows(model: nn.Module, rows: slice, count: int) -> None:
    """Tell the dropout of a model that it is given these of the `count` rows of a batch."""
    for module in model.modules():
        if isinstance(module, RowDropout):
            module.share = rows, count


def _turned(vectors: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate pairs of coordinates by angles that grow with the position."""
    cos, sin = turn
    x, y = vectors.chunk(2, dim=-1)
    return torch.cat((x * cos - y * sin, y * cos + x * sin), dim=-1)


def build_transformer(shape: Shape, seed: int) -> Transformer:
    """Make a transformer whose weights depend on `seed` alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = Transformer(shape)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                # The residual stream adds 2·layers such outputs: each is scaled down so that their sum is not larger.
                added = 2 * shape.layers if name.endswith("_out.weight") else 1
                nn.init.normal_(parameter, std=INITIAL_DEVIATION / math.sqrt(added))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
    return model
