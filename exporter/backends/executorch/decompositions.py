"""Operators that a phone's processor runs badly or not at all, in terms of those that XNNPACK takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload

from exporter.passes.split_queries import MOST_SCORES

aten = torch.ops.aten


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention of [B,H,T,D] as two products of three dimensions around a softmax, for some rows after others where
    all scores of an object would be many.

    PyTorch's own decomposition asks for every row whether all of it is masked, and leaves three times as many nodes
    to portable operators. Here every row must see something, which holds for every causal mask.
    """
    if enable_gqa or dropout_p:
        return NotImplemented
    batch, heads, rows, width = query.shape
    columns = key.shape[2]
    plain = attn_mask is None and not is_causal
    if plain and isinstance(rows, int) and isinstance(columns, int) and heads * rows * columns > MOST_SCORES:
        at_once = max(1, MOST_SCORES // (heads * columns))
        return torch.cat([attention(some, key, value, scale=scale) for some in query.split(at_once, dim=2)], dim=2)
    folded = (query * (scale or 1 / math.sqrt(width))).reshape(batch * heads, rows, width)
    scores = torch.bmm(folded, key.reshape(batch * heads, columns, width).transpose(1, 2))
    if is_causal:
        attn_mask = torch.ones(rows, columns, dtype=torch.bool).tril()
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.where(attn_mask, 0.0, -torch.inf)
        scores = (scores.view(batch, heads, rows, columns) + attn_mask).view(batch * heads, rows, columns)
    mixed = torch.bmm(torch.softmax(scores, dim=-1), value.reshape(batch * heads, columns, -1))
    return mixed.view(batch, heads, rows, -1)


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A batched product of equal batches as `bmm`; PyTorch's own decomposition expands and reshapes both first."""
    if left.dim() == right.dim() == 3 and left.shape[0] == right.shape[0]:
        return torch.bmm(left, right)
    return NotImplemented


def sorted_values(values: torch.Tensor, dim: int = -1, descending: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """ExecuTorch has no kernel for `sort`; it has one for `topk`."""
    return torch.topk(values, values.shape[dim], dim, largest=descending, sorted=True)


DECOMPOSITIONS: dict[OpOverload, Callable[..., Any]] = {
    aten.scaled_dot_product_attention.default: attention,
    aten.matmul.default: product,
    aten.sort.default: sorted_values,
}
