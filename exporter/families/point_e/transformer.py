"""The transformer blocks of Point-E, with the names of its published tensors.

There are no positions and no masks: tokens are sets. In a checkpoint the rows of `c_qkv` and `c_kv` go head by head
(q, k, v of head 0, then of head 1); here all of q comes first, then k, then v, which `parts_first` brings about, so
that one product gives them and nothing is taken apart afterwards.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

HEAD_WIDTH = 64  # of every published model: it cannot be read from the weights


class SelfAttention(nn.Module):
    """Attention among the tokens [B,T,W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_qkv = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.c_proj(attention(*self.c_qkv(tokens).chunk(3, dim=-1)))


class CrossAttention(nn.Module):
    """Attention of queries [B,T,W] to keys and values [B,S,W], which `c_kv` makes of other tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_q = nn.Linear(width, width)
        self.c_kv = nn.Linear(width, 2 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return self.c_proj(attention(self.c_q(tokens), keys, values))


class MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.gelu(self.c_fc(tokens)))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = MLP(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.ln_1(tokens))
        return tokens + self.mlp(self.ln_2(tokens))


class CrossBlock(nn.Module):
    """A block whose tokens do not see each other, only `data`, normalised by `ln_2`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = CrossAttention(width)
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width)
        self.ln_3 = nn.LayerNorm(width)

    def keys_and_values(self, data: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of data [B,S,W], twice that shape."""
        return self.attn.c_kv(self.ln_2(data)).chunk(2, dim=-1)

    def forward(self, tokens: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.ln_1(tokens), keys, values)
        return tokens + self.mlp(self.ln_3(tokens))


class Transformer(nn.Module):
    """Blocks one after the other."""

    def __init__(self, width: int, layers: int, block: type[nn.Module] = Block) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(block(width) for _ in range(layers))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for block in self.resblocks:
            tokens = block(tokens)
        return tokens


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Scaled dot product attention of [B,T,W] with heads of `HEAD_WIDTH` side by side.

    The original multiplies q and k each by the fourth root of 1/width, which differs by rounding alone.
    """
    heads = [part.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2) for part in (query, key, value)]
    return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)


def parts_first(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A published tensor as the modules here have it: rows of q, k and v of all heads, or of k and v, together."""
    parts = _parts(name)
    return tensor.unflatten(0, (-1, parts, HEAD_WIDTH)).transpose(0, 1).flatten(0, 2) if parts else tensor


def heads_first(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the modules here as a published file has it."""
    parts = _parts(name)
    return tensor.unflatten(0, (parts, -1, HEAD_WIDTH)).transpose(0, 1).flatten(0, 2) if parts else tensor


def _parts(name: str) -> int | None:
    """How many parts of attention a tensor has side by side."""
    return {"c_qkv": 3, "c_kv": 2}.get(name.rpartition(".")[0].rpartition(".")[2])
