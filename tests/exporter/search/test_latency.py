from __future__ import annotations

import numpy as np
import pytest

from exporter.backends.onnxruntime.fusion import optimized
from exporter.errors import RecipeError
from exporter.files.cache import Cache
from exporter.machine import timing
from exporter.search import latency
from exporter.search.candidates import parse_candidate
from exporter.search.latency import Product, Timing, interleaved, time_product
from exporter.targets.target import load_target

CPU = load_target("cpu")
CANDIDATES = [parse_candidate(text) for text in ("int8", "int8_dynamic", "int4_weights:gptq", "palette:4", "fp16")]


class Clock:
    """Time that only passes in programs."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def perf_counter(self):
        return self.now

    def program(self, name, seconds):
        def run(arrays):
            self.now += seconds
            self.order.append(name)
            return {}

        return type("Program", (), {"run": staticmethod(run), "input_names": ("x",)})()


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", made.perf_counter)
    return made


def test_shares_of_the_time_in_fp32(clock):
    sessions = {"fp32": clock.program("fp32", 0.010), "int8": clock.program("int8", 0.004)}
    timing = interleaved(sessions, {}, rounds=4)
    assert timing.milliseconds == pytest.approx(10.0)
    assert timing.shares == {"int8": pytest.approx(0.4)}
    assert timing.spread["int8"] == pytest.approx((0.4, 0.4))
    assert timing.saved("int8") == pytest.approx(6.0)


def test_every_program_is_first_as_often(clock):
    sessions = {name: clock.program(name, 0.010) for name in ("fp32", "int8", "int4_weights")}
    interleaved(sessions, {}, rounds=3)
    rounds = clock.order[6:]
    assert [rounds[i] for i in (0, 3, 6)] == ["fp32", "int8", "int4_weights"]


def test_a_short_program_runs_often_enough_to_be_read(clock):
    sessions = {"fp32": clock.program("fp32", 1e-4)}
    interleaved(sessions, {}, rounds=1)
    assert len(clock.order) == 2 + 40


@pytest.mark.parametrize(("seconds", "runs"), [(9.0, 1 + 2), (0.5, 2 + 5)])
def test_a_slow_program_runs_no_more_often_than_it_has_to(clock, seconds, runs):
    timing = interleaved({"fp32": clock.program("fp32", seconds)}, {}, rounds=5, fewest=2, seconds=10.0)
    assert len(clock.order) == runs
    assert timing.milliseconds == pytest.approx(1e3 * seconds)


@pytest.mark.parametrize(
    ("shape", "rank"), [((64, 48), 2), ((64, 48), 3), ((8, 32, 24), 3)], ids=["rows", "batch of rows", "matrices"]
)
def test_every_precision_of_a_product_is_timed_on_the_machine(shape, rank, tmp_path):
    timing = time_product(Product(shape, 3, rank), CANDIDATES, CPU, Cache(tmp_path))
    assert (
        set(timing.shares) == set(timing.spread) == {"int8", "int8_dynamic", "int4_weights:gptq", "palette:4", "fp16"}
    )
    assert timing.milliseconds > 0 and all(share > 0 for share in timing.shares.values())
    assert timing.shares["fp16"] == timing.shares["palette:4"] == 1.0
    assert all(low <= timing.shares[name] <= high for name, (low, high) in timing.spread.items())


def test_a_batch_of_rows_is_multiplied_in_integers_as_in_the_network(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(latency, "interleaved", lambda sessions, arrays: seen.append(sessions) or Timing(1.0, {}, {}))
    monkeypatch.setattr(latency, "open_session", lambda backend, program, options: optimized(program).graph)
    time_product(Product((64, 48), 3, 3), CANDIDATES[:1], CPU, Cache(tmp_path))
    assert "MatMulIntegerToFloat" in {node.op_type for node in seen[0]["int8"].node}


def test_a_product_is_timed_once(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    asked = []

    def fake(sessions, arrays):
        asked.append(arrays["x"].shape)
        return Timing(
            2.0, dict.fromkeys(set(sessions) - {"fp32"}, 0.5), dict.fromkeys(set(sessions) - {"fp32"}, (0.4, 0.6))
        )

    monkeypatch.setattr(latency, "interleaved", fake)
    first = time_product(Product((64, 48), 3, 3), CANDIDATES, CPU, cache)
    assert first == time_product(Product((64, 48), 3, 3), CANDIDATES, CPU, cache)
    assert asked == [(1, 3, 64)] and first.spread["int8"] == (0.4, 0.6)
    nearest = [rule.model_copy(update={"rounding": "nearest"}) for rule in CANDIDATES]
    assert time_product(Product((64, 48), 3, 3), nearest, CPU, cache).shares["int4_weights"] == first.shares["int8"]
    time_product(Product((64, 48), 4, 3), CANDIDATES, CPU, cache)
    time_product(Product((64, 48), 3, 3), CANDIDATES[:1], CPU, cache)
    monkeypatch.setattr(latency, "machine", lambda: {"processor": "another", "cores": 1})
    time_product(Product((64, 48), 3, 3), CANDIDATES, CPU, cache)
    assert asked == [(1, 3, 64), (1, 4, 64), (1, 3, 64), (1, 3, 64)]


def test_another_backend_is_not_timed_here(tmp_path):
    target = CPU.model_copy(update={"name": "jetson", "backend": "tensorrt"})
    with pytest.raises(RecipeError, match=r"'jetson'.*its backend is tensorrt"):
        time_product(Product((8, 8), 1, 3), CANDIDATES, target, Cache(tmp_path))


def test_the_machine_is_named():
    told = latency.machine()
    assert told["processor"] and np.issubdtype(type(told["cores"]), np.integer)
