from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exporter.runtime.inputs.noise import noise
from tests.node import run_node

GOLDEN = json.loads((Path(__file__).parents[1] / "inputs/noise_golden.json").read_text())
SCRIPT = """
import { noise } from "./noise.js";
tell(given.map(({ seed, count, which }) => [...noise(BigInt(seed), count, which)]));
"""


def test_the_recorded_noise():
    asked = [{"seed": str(case["seed"]), "count": len(case["values"])} for case in GOLDEN]
    for case, made in zip(GOLDEN, run_node(SCRIPT, asked), strict=True):
        assert np.allclose(made, case["values"], rtol=1e-6, atol=1e-7)


def test_it_is_pythons_noise_for_odd_counts_and_large_seeds():
    churned = {"draw": 127, "stream": 1}
    cases = [(0, 1, {}), (7, 4097, {}), (2**53 + 1, 10, {}), (2**64 - 1, 33, {}), (7, 4097, churned)]
    made = run_node(SCRIPT, [{"seed": str(seed), "count": count, "which": which} for seed, count, which in cases])
    for (seed, count, which), values in zip(cases, made, strict=True):
        expected = noise(seed, (count,), **which)
        assert len(values) == count and np.allclose(values, expected, rtol=1e-6, atol=1e-7)
        assert np.mean(np.float32(values) == expected) > 0.95


@pytest.mark.parametrize("seed", ["-1", str(2**64)])
def test_a_seed_out_of_range_is_refused(seed):
    script = f"""
    import {{ noise }} from "./noise.js";
    try {{ noise({seed}n, 1); tell("taken"); }} catch (error) {{ tell(error.message); }}
    """
    assert "from 0 to 2^64 - 1" in run_node(script)
