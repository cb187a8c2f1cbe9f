"""Faults planted in the middle of a program are found, and made to show themselves in a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporter.cache import Cache
from exporter.errors import BundleError, RecipeError
from exporter.meter import Silent
from tests.validate.bisect.planted import scale_constant
from validate.bisect.layers import layer_errors
from validate.bisect.pair import Originals
from validate.bisect.reproducer import FILES, write_reproducer
from validate.bisect.search import _first
from validate.bisect.verdicts import search, stages_to_search

MIDDLE = "denoiser.prior.transformer_blocks.1.ff.net.0.proj"
LIMIT_DB = 8.0


def quiet(told: str) -> None:
    """Tells nobody."""


@pytest.fixture
def broken(healthy: Path, tmp_path: Path) -> Path:
    return shutil.copytree(healthy, tmp_path / "bundle")


def find(folder: Path, cache: Cache, stages: list[str], limit: float = LIMIT_DB):
    return search(Originals.open(folder, cache, Silent()), stages, limit, quiet)


def test_nothing_is_found_in_a_healthy_bundle(healthy: Path, cache: Cache) -> None:
    findings = find(healthy, cache, ["text_encoder", "denoiser", "projector", "field"])
    assert [finding.stage for finding in findings] == ["text_encoder", "denoiser", "projector", "field"]
    assert all(finding.kept and finding.culprit is None for finding in findings)


@pytest.mark.parametrize(
    "constant", [f"{MIDDLE}.weight_scale", "denoiser.prior.transformer_blocks.1.ff.net.0.proj.bias"]
)
def test_a_wrong_constant_in_a_middle_layer_is_found(broken: Path, cache: Cache, constant: str) -> None:
    scale_constant(broken, "denoiser", constant, 40.0)
    finding = find(broken, cache, ["text_encoder", "denoiser", "projector"])[-1]
    assert finding.stage == "denoiser" and not finding.kept and finding.culprit is not None
    assert "transformer_blocks.1.ff.net.0" in finding.culprit.tensor
    assert finding.culprit.alone_db < LIMIT_DB <= 20 and len(finding.culprit.nodes) < 15


def test_a_reproducer_shows_the_fault_and_its_repair(broken: Path, healthy: Path, cache: Cache, tmp_path: Path) -> None:
    scale_constant(broken, "denoiser", f"{MIDDLE}.weight_scale", 40.0)
    culprit = find(broken, cache, ["denoiser"])[-1].culprit
    folder = tmp_path / "reproducer"
    write_reproducer(culprit, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    done = subprocess.run([sys.executable, folder / "run.py"], capture_output=True, text=True)
    assert done.returncode == 1 and culprit.tensor in done.stdout, done.stderr
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == f"{MIDDLE}.weight_scale":
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) / np.float32(40), tensor.name)
            )
    onnx.save(model, folder / "model.onnx")
    done = subprocess.run([sys.executable, folder / "run.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reproducer_overwrites_nothing_else(tmp_path: Path, broken: Path, cache: Cache) -> None:
    scale_constant(broken, "denoiser", f"{MIDDLE}.weight_scale", 40.0)
    culprit = find(broken, cache, ["denoiser"])[-1].culprit
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"thesis\.txt"):
        write_reproducer(culprit, tmp_path / "taken")


def test_every_layer_has_its_error(healthy: Path, cache: Cache) -> None:
    errors = layer_errors(Originals.open(healthy, cache, Silent()))
    found = {(error.stage, error.layer): error for error in errors}
    quantized = found["denoiser", "denoiser/prior.transformer_blocks.1.ff.net.0.proj"]
    assert quantized.precision == "int8" and 10 < quantized.snr_db < 80
    assert np.isfinite(found["denoiser", "denoiser/proj_to_clip_embeddings"].snr_db)
    assert found["text_encoder", "text_encoder/model.text_model.final_layer_norm"].snr_db > 100
    names = [error.layer for error in errors]
    blocks = [next(i for i, name in enumerate(names) if f"blocks.{block}.ff" in name) for block in (0, 1)]
    assert blocks == sorted(blocks)


def test_bad_stages_are_told(healthy: Path, cache: Cache) -> None:
    manifest = Originals.open(healthy, cache, Silent()).manifest
    assert stages_to_search(manifest, "shape", None) == ["projector", "field"]
    with pytest.raises(RecipeError, match="did you mean 'denoiser'"):
        stages_to_search(manifest, None, "denoisr")


@pytest.mark.parametrize("true_from", [0, 1, 6, 7])
def test_bisection_finds_the_first(true_from: int) -> None:
    assert _first(lambda number: number >= true_from, 0, 7) == true_from
