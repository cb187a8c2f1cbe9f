"""Simulated quantization rounds as many levels as it says."""

import pytest
import torch
from torch import nn

from training.scoring.fake_quant import VARIANTS, fake_quantize


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_levels(bits):
    x = torch.linspace(-1, 1, 4001)
    rounded = fake_quantize(x, bits)
    assert len(rounded.unique()) == 2**bits - 1
    assert (rounded - x).abs().max() <= 1 / (2 ** (bits - 1) - 1) / 2 + 1e-6


def test_fewer_bits_do_more_harm():
    x = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    errors = {}
    for name in ("w4", "w3", "w2"):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 8))
        before = model(x)
        VARIANTS[name](model)
        errors[name] = float((model(x) - before).detach().norm())
    assert errors["w4"] < errors["w3"] < errors["w2"]


def test_w8a8_touches_weights_and_inputs():
    model = nn.Linear(4, 4)
    VARIANTS["w8a8"](model)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.linear(fake_quantize(x, 8), model.weight, model.bias)
    assert torch.equal(model(x), expected)
