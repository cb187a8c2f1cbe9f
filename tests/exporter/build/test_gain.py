from __future__ import annotations

import pytest

import exporter.build.gain
from exporter.build.build import build
from exporter.build.gain import LEAST_MILLISECONDS, Gain, require_gain
from exporter.errors import ValidationFailed
from exporter.search.latency import Timing
from exporter.targets.target import load_target
from tests.exporter.build.test_build import recipe_of

FASTER = Gain("denoiser", 0.3, 20.0, 0.5, (0.45, 0.6))
SLOWER = Gain("denoiser", 0.3, 20.0, 1.4, (1.2, 1.6))
INT8 = {"rules": [{"layers": "text_encoder/*", "precision": "int8_dynamic"}]}


def test_what_is_slower_in_most_rounds_did_not_help():
    require_gain([FASTER], "time")
    with pytest.raises(ValidationFailed, match=r"denoiser: x0.71 as fast as its .* 20.0 ms .*x0.62 to x0.83"):
        require_gain([FASTER, SLOWER], "time")


@pytest.mark.parametrize(
    "gain",
    [
        Gain("denoiser", 0.3, 20.0, 1.05, (0.95, 1.2)),
        Gain("projector", 0.3, LEAST_MILLISECONDS / 2, 1.4, (1.2, 1.6)),
        Gain("denoiser", 0.3),
    ],
    ids=["not clearly", "too short to tell", "not run here"],
)
def test_what_cannot_be_told_is_not_held_against_a_stage(gain):
    require_gain([gain], "time")


def test_a_recipe_for_small_downloads_is_asked_for_bytes():
    require_gain([SLOWER], "bytes")
    with pytest.raises(ValidationFailed, match=r"text_encoder: 110% of its float program's bytes"):
        require_gain([Gain("text_encoder", 1.1, 20.0, 0.5, (0.4, 0.6))], "bytes")


def timed(share):
    return lambda sessions, arrays, *rounds: Timing(20.0, {"quantized": share}, {"quantized": (share, share)})


def test_a_build_is_stopped_by_a_slower_stage_unless_that_is_allowed(tiny_folder, step_cache, tmp_path, monkeypatch):
    recipe, cpu = recipe_of(tiny_folder, quantization=INT8), load_target("cpu")
    monkeypatch.setattr(exporter.build.gain, "interleaved", timed(1.5))
    with pytest.raises(ValidationFailed, match=r"did not help .*saves: time.*\n  text_encoder: x0.67 as fast"):
        build(recipe, cpu, tmp_path / "out", cache=step_cache)
    assert not (tmp_path / "out").exists()
    report = build(recipe, cpu, tmp_path / "out", cache=step_cache, need_gain=False)
    assert [(gain.stage, gain.time_share) for gain in report.gains] == [("text_encoder", 1.5)]
    assert 0.1 < report.gains[0].bytes_share < 0.9


def test_a_stage_is_timed_for_real_against_its_float_program(tiny_folder, step_cache, tmp_path):
    recipe = recipe_of(tiny_folder, quantization=INT8)
    (gain,) = build(recipe, load_target("cpu"), tmp_path / "out", cache=step_cache, need_gain=False).gains
    assert gain.milliseconds > 0 and gain.spread[0] <= gain.time_share <= gain.spread[1]


def test_what_proves_a_bundle_can_keep_it_from_its_place(tiny_folder, step_cache, tmp_path):
    seen = []

    def disprove(folder):
        seen.append(sorted(path.name for path in folder.iterdir()))
        raise ValidationFailed("not what was asked for")

    recipe = recipe_of(tiny_folder)
    with pytest.raises(ValidationFailed, match="not what was asked for"):
        build(recipe, load_target("cpu"), tmp_path / "out", cache=step_cache, prove=disprove)
    assert "manifest.json" in seen[0] and not (tmp_path / "out").exists()
    report = build(recipe, load_target("cpu"), tmp_path / "out", cache=step_cache, prove=lambda folder: None)
    assert report.gains == [] and (tmp_path / "out" / "manifest.json").is_file()
