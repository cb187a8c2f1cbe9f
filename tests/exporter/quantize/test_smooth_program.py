from __future__ import annotations

import numpy as np

from exporter.quantize import smooth_program
from exporter.quantize.smooth_program import sampled


def test_of_large_inputs_evenly_spread_ones_are_looked_at(tmp_path, monkeypatch):
    shards = [tmp_path / f"{i}.npz" for i in range(9)]
    for shard in shards:
        np.savez(shard, x=np.zeros((10, 10), np.float32))
    assert sampled(shards) == shards
    monkeypatch.setattr(smooth_program, "NUMBERS_SAMPLED", 399)
    assert sampled(shards) == [shards[0], shards[4], shards[8]]
    monkeypatch.setattr(smooth_program, "NUMBERS_SAMPLED", 1)
    assert sampled(shards) == shards[:1], "never none"
    assert sampled([]) == []
