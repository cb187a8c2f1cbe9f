"""Faults planted in the middle of a program are found, and made to show themselves in a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporter.errors import BundleError, RecipeError
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from tests.validate.bisect.planted import scale_constant
from validate.bisect.layers import layer_errors
from validate.bisect.pair import Originals
from validate.bisect.reproducer import FILES, write_reproducer
from validate.bisect.search import Culprit, first
from validate.bisect.verdicts import BisectFinding, search, stages_to_search

SCALE = "denoiser.prior.transformer_blocks.1.ff.net.0.proj.weight_scale"
WEIGHT = "denoiser.prior.transformer_blocks.0.attn1.to_out.0.weight_quantized"
LIMIT_DB = 15.0


def quiet(told: str) -> None:
    """Tells nobody."""


def find(folder: Path, cache: Cache, *stages: str) -> list[BisectFinding]:
    return search(Originals.open(folder, cache, Silent()), stages, LIMIT_DB, quiet)


def broken(healthy: Path, folder: Path, constant: str, factor: float) -> Path:
    scale_constant(shutil.copytree(healthy, folder), "denoiser", constant, factor)
    return folder


@pytest.fixture(scope="module")
def culprit(healthy: Path, step_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Culprit:
    """Of a wrong scale in the middle of the denoiser."""
    folder = broken(healthy, tmp_path_factory.mktemp("scale") / "bundle", SCALE, 3.0)
    finding = find(folder, step_cache, "denoiser", "projector")[-1]
    assert finding.stage == "denoiser" and not finding.kept and finding.culprit is not None
    return finding.culprit


def test_nothing_is_found_in_a_healthy_bundle(healthy: Path, step_cache: Cache) -> None:
    findings = find(healthy, step_cache, "denoiser", "projector")
    assert [(one.stage, one.kept, one.culprit) for one in findings] == [
        ("denoiser", True, None),
        ("projector", True, None),
    ]
    assert all(LIMIT_DB < one.worst_db < 80 for one in findings)


def test_a_wrong_scale_is_found_with_its_own_nodes_alone(culprit: Culprit) -> None:
    assert culprit.tensor == "denoiser/prior.transformer_blocks.1.ff.net.0.proj/Add:0"
    assert list(culprit.inputs) == ["denoiser/prior.transformer_blocks.1/Add:0"]
    assert culprit.alone_db < LIMIT_DB and len(culprit.nodes) <= 6


def test_a_wrong_weight_is_found(healthy: Path, step_cache: Cache, tmp_path: Path) -> None:
    found = find(broken(healthy, tmp_path / "bundle", WEIGHT, -0.5), step_cache, "denoiser")[0].culprit
    assert found is not None and found.tensor == "denoiser/prior.transformer_blocks.0.attn1.to_out.0/Add:0"


def test_a_reproducer_shows_the_fault_and_its_repair(culprit: Culprit, tmp_path: Path) -> None:
    write_reproducer(culprit, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    done = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, text=True)
    assert done.returncode == 1 and culprit.tensor in done.stdout, done.stderr
    model = onnx.load(tmp_path / "model.onnx")
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == SCALE)
    scale.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) / np.float32(3), SCALE))
    onnx.save(model, tmp_path / "model.onnx")
    done = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reproducer_overwrites_nothing_else(culprit: Culprit, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"thesis\.txt"):
        write_reproducer(culprit, tmp_path)


def test_every_layer_has_its_error(healthy: Path, step_cache: Cache) -> None:
    errors = layer_errors(Originals.open(healthy, step_cache, Silent()))
    found = {(error.stage, error.layer): error for error in errors}
    quantized = found["denoiser", "denoiser/prior.transformer_blocks.1.ff.net.0.proj"]
    assert quantized.precision == "int8" and 10 < quantized.snr_db < 80
    assert np.isfinite(found["denoiser", "denoiser/proj_to_clip_embeddings"].snr_db)
    assert found["text_encoder", "text_encoder/model.text_model.final_layer_norm"].snr_db > 100
    names = [error.layer for error in errors]
    blocks = [next(i for i, name in enumerate(names) if f"blocks.{block}.ff" in name) for block in (0, 1)]
    assert blocks == sorted(blocks)


def test_bad_stages_are_told(healthy: Path, step_cache: Cache) -> None:
    manifest = Originals.open(healthy, step_cache, Silent()).manifest
    assert stages_to_search(manifest, "shape", None) == ["projector", "field"]
    with pytest.raises(RecipeError, match="did you mean 'denoiser'"):
        stages_to_search(manifest, None, "denoisr")


@pytest.mark.parametrize("true_from", [0, 1, 6, 7])
def test_bisection_finds_the_first(true_from: int) -> None:
    assert first(lambda number: number >= true_from, 0, 7) == true_from
