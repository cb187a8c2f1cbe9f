"""Synthetic outliers: the same function, far harder to quantize.

A few channels of each LayerNorm in the denoiser are multiplied and the columns of the linear layers that read it
divided by the same factor, as the activations of large trained transformers have them (Dettmers et al., arXiv
2208.07339). In float32 the output stays what it was to rounding, and exactly for a power of two; a range of one
activation per tensor leaves the other channels next to nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from exporter.errors import WeightsError

PREFIX = "stress:"
DEFAULT_FACTOR = 64.0
CHANNELS_PER_OUTLIER = 64
FEWEST_OUTLIERS = 2
SEED = 0
_WAYS_ON = "write 'stress:WEIGHTS' or 'stress:WEIGHTS:FACTOR', as in 'stress:shap-e-mini:64'"
_NUMBER = re.compile(r"[+-]?(\d|\.\d)[\d.eE+-]*|nan|inf", re.IGNORECASE)


def is_synthetic(weights: str) -> bool:
    """Whether weights of this name have injected outliers."""
    return weights.startswith(PREFIX)


def split_name(weights: str) -> tuple[str, float]:
    """'stress:WEIGHTS[:FACTOR]' to the weights that are changed and the factor; a number at the end is the factor.

    Raises WeightsError for no weights, or a factor that is not a number above 1.
    """
    inner = weights.removeprefix(PREFIX)
    before, colon, last = inner.rpartition(":")
    factor = DEFAULT_FACTOR
    if colon and _NUMBER.fullmatch(last):
        inner, factor = before, _number(last)
    if not inner or is_synthetic(inner) or not 1.0 < factor < math.inf:
        raise WeightsError(f"weights {weights!r}: no weights, or no finite factor above 1; {_WAYS_ON}")
    return inner, factor


def inject_outliers(prior: Any, factor: float) -> None:
    """Give a diffusers transformer outliers in place: one channel in 64 of each normalisation, at least two.

    `prior`: a module with `transformer_blocks` of `BasicTransformerBlock`. Every normalisation has channels of its own,
    always the same ones.
    """
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for norm, readers in _normalised_inputs(prior):
            width = norm.weight.shape[0]
            count = max(FEWEST_OUTLIERS, width // CHANNELS_PER_OUTLIER)
            channels = torch.randperm(width, generator=generator)[:count]
            norm.weight[channels] *= factor
            norm.bias[channels] *= factor
            for linear in readers:
                linear.weight[:, channels] /= factor


def _normalised_inputs(prior: Any) -> Iterator[tuple[nn.LayerNorm, list[nn.Linear]]]:
    """Each normalisation with all the linear layers that read it."""
    for block in prior.transformer_blocks:
        yield block.norm1, [block.attn1.to_q, block.attn1.to_k, block.attn1.to_v]
        yield block.norm3, [block.ff.net[0].proj]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
