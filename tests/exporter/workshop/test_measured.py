"""perf.yaml and numerics.yaml: what a build writes, what a device adds, and that neither changes what a bundle is."""

from __future__ import annotations

import pytest

from exporter.graphs.operators import count_operators
from exporter.manifest import NUMERICS, PERF, bundle_digest, read_manifest, require_whole
from exporter.runtime.measure import measure
from exporter.targets.stand_in import runs_here
from exporter.targets.target import load_target
from exporter.workshop.goldens import GoldenParity
from exporter.workshop.measured import Measured, add_measured, held, read_measured, write_measured
from exporter.workshop.parity import Parity

HERE = {"processor": "4 cores", "onnxruntime": "1.32.0"}
BOARD = {"board": "Jetson", "tensorrt": "10.3.0"}


def golden(stage, tensor, name, snr_db, limit_db=25.0):
    return GoldenParity(stage, tensor, name, "int8", Parity(0.1, 0.01, 1.0, snr_db), limit_db)


PARITIES = [
    golden("text_encoder", "embedding", "text_encoder_000.npz", float("inf")),
    golden("field", "color", "field_000.npz", 40.0),
    golden("field", "color", "field_001.npz", 21.0),
]


@pytest.fixture
def written(own_bundle):
    """The toy bundle with figures of this machine and a device that is missing."""
    found = Measured(HERE, {"field": {"milliseconds": 1.5}}, held(PARITIES), {"peak_bytes": 10})
    contents = {"field": {"operators": {"MatMul": {"int8": 2}}}}
    manifest = read_manifest(own_bundle)
    return own_bundle, manifest, write_measured(own_bundle, manifest, contents, [found], "time on the board")


def test_the_worst_golden_of_every_output_is_kept():
    figures = held(PARITIES)
    assert list(figures) == ["text_encoder", "field"]
    assert figures["field"]["outputs"]["color"] == {
        "snr_db": 21.0, "relative_l2": 0.01, "max_abs": 0.1, "golden": "field_001.npz",
    }  # fmt: skip
    assert not figures["field"]["passed"] and figures["text_encoder"]["passed"]
    assert figures["text_encoder"]["outputs"]["embedding"]["snr_db"] == "exact"


def test_both_files_are_hashed_and_change_no_digest(written):
    folder, before, after = written
    assert require_whole(folder) == after and {PERF, NUMERICS} <= set(after.files)
    assert bundle_digest(after) == bundle_digest(before) == read_measured(folder, PERF)["digest"]
    told = read_measured(folder, PERF)
    assert told["stages"]["field"]["operators"] == {"MatMul": {"int8": 2}}
    assert told["stages"]["field"]["bytes"] == before.stages["field"].size
    assert told["measured"] == [{"where": HERE, "peak_bytes": 10, "stages": {"field": {"milliseconds": 1.5}}}]
    assert told["missing"] == "time on the board"


def test_a_device_adds_its_figures_and_replaces_its_own(written):
    folder, _, manifest = written
    for milliseconds in (3.0, 2.0):
        one = Measured(BOARD, {"field": {"milliseconds": milliseconds}}, {"field": {"passed": True, "outputs": {}}})
        manifest = add_measured(folder, manifest, one)
    told = read_measured(folder, PERF)
    assert [entry["where"] for entry in told["measured"]] == [HERE, BOARD] and "missing" not in told
    assert told["measured"][1]["stages"]["field"]["milliseconds"] == 2.0
    assert [entry["where"] for entry in read_measured(folder, NUMERICS)["measured"]] == [HERE, BOARD]
    assert require_whole(folder) == manifest


def test_a_fresh_process_times_every_stage_that_has_a_golden(built_toy):
    found = measure(built_toy)
    assert set(found["stages"]) == {"field"} and found["peak_bytes"] > 10_000_000
    times = found["stages"]["field"]
    assert 0 < times["least"] <= times["milliseconds"] <= times["most"] and times["runs"] >= 3


@pytest.fixture
def built_toy(own_bundle):
    """The toy bundle with a golden of its field."""
    import numpy as np

    from exporter.manifest import list_files, write_manifest

    (own_bundle / "goldens").mkdir()
    inputs = {"points": np.zeros((2, 5, 3)), "radius": np.ones((2, 1, 1)), "paint": np.ones((2, 1, 3))}
    np.savez(own_bundle / "goldens/field_000.npz", **{name: array.astype("float32") for name, array in inputs.items()})
    changes = {"goldens": {"field": ["goldens/field_000.npz"]}, "files": list_files(own_bundle)}
    write_manifest(own_bundle, read_manifest(own_bundle).model_copy(update=changes))
    return own_bundle


def test_operators_are_counted_by_precision(own_bundle):
    counts = count_operators(own_bundle / "text_encoder.onnx")
    assert counts["Gather"] == {"fp32": 1} and counts["Constant"] == {"int64": 1}


def test_a_phone_and_a_board_are_not_here():
    assert runs_here(load_target("cpu"))
    assert not any(runs_here(load_target(name)) for name in ("android", "orin", "web", "arm64"))
