"""A benchmark as people read it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from validate.bench.fresh import Fresh
from validate.bench.grids import megabytes, seconds
from validate.bench.show_timings import RANDOM, tell
from validate.bench.timings import BenchResult, SideResult

MACHINE = {
    "processor": "A Fast One", "flags": ["avx2"], "cores": 2, "threads": 1, "memory_bytes": 8 * 2**30, "free_bytes": 1,
    "system": "Linux", "versions": {"onnxruntime": "1.32.0", "numpy": "2"}, "load": 0.1,
    "gpus": [{"name": "NVIDIA T4", "memory_bytes": 16 * 2**30, "used_bytes": 0}],
}  # fmt: skip
SETTINGS = {
    "prompt": "x",
    "grid": 128,
    "picture": 64,
    "asset": "mesh",
    "rounds": 3,
    "weights": "random:x",
    "trained": False,
}
FRESH = Fresh(load_seconds=2.5, seconds=9.0, loaded_bytes=10**8, peak_bytes=234_000_000)
TORCH = SideResult(
    "torch", "PyTorch eager", "baseline", "heun, 64 steps", 127, composed=True, fresh=FRESH,
    load_seconds=[9.0, 1.5, 2.0],
    seconds={"inputs": [1.0] * 3, "denoiser": [127.0] * 3, "projector": [1.0] * 3, "mesh": [11.0, 11.0, 71.0]},
    step_seconds={"denoiser": [1.0] * 3},
)  # fmt: skip
BUNDLE = SideResult(
    "int8", "shape_e_int8/cpu (int8)", "bundle", "dpmpp_2m, 20 steps", 20, stored_bytes=5_040_000,
    seconds={
        "inputs": [0.5] * 3, "denoiser": [4.0] * 3, "projector": [0.5] * 3, "field": [1.5] * 3, "mesh": [0.5] * 3,
    },
    besides={"image": [1.0] * 3},
    step_seconds={"denoiser": [0.2] * 3},
)  # fmt: skip
FAILED = SideResult("naive", "plain export", "baseline", reason="RuntimeError: no")


@pytest.fixture(scope="module")
def result():
    return BenchResult(MACHINE, SETTINGS, [TORCH, FAILED, BUNDLE])


def test_times_are_medians_and_ratios_are_of_the_same_rounds(result):
    text = tell(result).markdown()
    assert text.startswith("|  | step | inputs | denoiser | projector | field | mesh | image | to mesh | p90 |")
    assert "| torch* | 1 | 1 | 127 | 1 | – | 11 | – | 140 |" in text
    assert "| int8 | 0.2 | 0.5 | 4 | 0.5 | 1.5 | 0.5 | 1 | 7 | 7 | – | 5.0 | – |" in text
    assert "| int8, to mesh | x20 (20–24.3) | – |" in text and "| int8, step | x5 (5–5) | – |" in text


def test_load_is_the_median_of_the_processes_and_memory_the_largest(result):
    row = next(line for line in tell(result).markdown().splitlines() if line.startswith("| torch*"))
    assert row.endswith("| 2 | – | 234 |")


def test_what_is_composed_missing_or_random_is_said(result):
    words = "\n".join(tell(result).words)
    assert "* Composed" in words and "naive: not measured: RuntimeError: no" in words and RANDOM in words
    assert "A Fast One (avx2), 1 threads on 2 cores" in words and "NVIDIA T4, 16.0 GiB" in words
    assert "to its mesh, stage by stage; a mesh is on 128³; an image has 64 px; image: besides" in words
    assert "torch: PyTorch eager; heun, 64 steps, 127 evaluations" in words
    trained = BenchResult(MACHINE, SETTINGS | {"trained": True}, [BUNDLE])
    words = "\n".join(tell(trained).words)
    assert RANDOM not in words and "Composed" not in words and len(tell(trained).grids) == 1


def test_without_a_sampler_there_is_no_step(result):
    plain = [
        SideResult(name, "a pipeline", "bundle", seconds={"backbone": [1.0] * 3, "image": [taken] * 3})
        for name, taken in {"a": 1.0, "b": 3.0}.items()
    ]
    told = tell(BenchResult(MACHINE, SETTINGS | {"asset": "image", "grid": None, "picture": None}, [*plain, FAILED]))
    text = told.markdown()
    assert text.startswith("|  | backbone | image | to image | p90 |") and "| naive | – | – | – |" in text
    assert "| a, to image | – | x2 (2–2) |" in text and "step" not in text.replace("steps", "").partition("Seconds")[0]
    assert "stage by stage. Load" in text and "\n- a: a pipeline\n" in text
    assert set(told.data["sides"][0]["p50"]) == {"backbone", "image", "end_to_end"}
    assert set(told.data["sides"][0]["times_as_fast_as"]["b"]) == {"end_to_end"}


def test_the_terminal_gets_every_figure(result):
    console = Console(file=io.StringIO(), width=120)
    console.print(tell(result).for_console())
    told = console.file.getvalue()
    assert "x20 (20–24.3)" in told and "times as fast as" in told and max(map(len, told.splitlines())) <= 120


def test_figures_are_short():
    assert [seconds(v) for v in (None, 0.00123456, 12.345, 1400.4)] == ["–", "0.00123", "12.3", "1400"]
    assert [megabytes(v) for v in (None, 1_234_567, 234_567_890)] == ["–", "1.2", "235"]
