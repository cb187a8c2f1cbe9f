"""report.html says what the report says, escapes what it is given, and loads nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.errors import BundleError, RecipeError
from exporter.manifest import read_manifest, write_manifest
from tests.validate.page.pages import HOSTILE, report_of
from validate.bench.latency import require_bench
from validate.ladder.report import record_in_bundle
from validate.ladder.result import Figure
from validate.objects.exhibits import load_exhibits
from validate.page.report_page import report_page, write_page

BENCH = {
    "machine": {"processor": "P", "threads": 2},
    "sides": [
        {"name": "toy/cpu", "kind": "bundle", "p50": {"diffusion": 0.5, "end_to_end": 1.25}, "p90": {"end_to_end": 1.5},
         "fresh": {"peak_bytes": 300_000_000}, "times_as_fast_as": {"torch": {"end_to_end": {"ratio": 3.0}}}},
        {"name": "torch", "kind": "baseline", "p50": {"diffusion": 2.0, "end_to_end": 3.75}, "p90": {}},
        {"name": "naive", "kind": "baseline", "reason": "no memory"},
    ],
}  # fmt: skip


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def page_of(folder: Path, **changes) -> str:
    report = report_of(folder, **changes)
    return report_page(report.to_dict(), read_manifest(folder), report.exhibits)


def test_the_verdict_comes_first_and_every_part_is_there(toy_bundle: Path) -> None:
    html = page_of(toy_bundle)
    told = words(html.split("<main>")[1])
    assert told.index("✓ Passed: toy/cpu") < 80
    for part in ("The ladder", "Quality", "Drift over timesteps", "Side by side", "Error by layer", "Policy by layer",
                 "Size and memory", "Latency", "Versions and digests"):  # fmt: skip
        assert f"<h2>{part}</h2>" in html
    for figure in ("SNR 29 dB", "at least 30 dB", "66.7% (20.8 to 93.9)", "−33.3 points", "a loss of up to 79.2 points",
                   "3 pairs cannot show any loss (McNemar", "judged differently; 3 pairs cannot show any loss",
                   "the bundle has no renderer stage"):  # fmt: skip
        assert figure in told
    assert "Latency Not measured." in told and "Peak memory was not measured" in told


def test_an_interval_that_is_none_and_a_gain_are_told_as_such(toy_bundle: Path) -> None:
    report = report_of(toy_bundle).to_dict()
    quality = next(rung for rung in report["rungs"] if rung["name"] == "quality")
    quality["details"]["comparisons"][0] |= {"low": "-inf", "high": "inf"}
    drop = Figure("bundle", "R-Precision", "drop", -10.0, "points", 2.0, "at most").to_dict()
    quality |= {"figures": [drop], "worst": drop}
    told = words(report_page(report, read_manifest(toy_bundle), []))
    assert "too few prompts for an interval" in told
    assert told.count("gain 10 points a drop of at most 2 points") == 2  # in the ladder and in all that was measured
    assert "−10 points" not in told


def test_a_failure_says_which_rung_and_why(toy_bundle: Path) -> None:
    told = words(page_of(toy_bundle, passed=False).split("<main>")[1])
    assert told.index("✗ Failed: toy/cpu") < 80
    assert "denoiser prediction, evaluation 11: SNR 29 dB (at least 30 dB)" in told


def test_what_it_is_given_is_escaped_and_nothing_is_loaded(toy_bundle: Path) -> None:
    html = page_of(toy_bundle)
    assert html.count("<script") == 1 and HOSTILE not in html and "&lt;script&gt;document" in html
    assert "default-src 'none'" in html
    loaded = re.findall(r"(?:src|href)=[\"']([^\"']{0,9})", html)
    assert loaded and all(address.startswith(("data:", "#")) for address in loaded)


def test_bench_figures_are_shown_as_given(toy_bundle: Path) -> None:
    report = report_of(toy_bundle)
    bench = require_bench(BENCH, "bench.json")
    told = words(report_page(report.to_dict(), read_manifest(toy_bundle), [], bench))
    for figure in ("1250 ms (p90 1500)", "toy/cpu is 3.00 times as fast as torch", "peak memory 300.0 MB", "1.25 s"):
        assert figure in told
    assert "naive" not in told
    with pytest.raises(RecipeError, match="no list of sides"):
        require_bench({"rows": []}, "bench.json")


def test_a_report_of_another_build_is_told(own_bundle: Path) -> None:
    record_in_bundle(report_of(own_bundle), own_bundle)
    manifest = read_manifest(own_bundle)
    write_manifest(own_bundle, manifest.model_copy(update={"toolchain": {"onnx": "2"}}))
    assert "about another build" in write_page(own_bundle).read_text()


def test_the_page_can_be_written_again_and_elsewhere(own_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="t3export validate"):
        write_page(own_bundle)
    record_in_bundle(report_of(own_bundle), own_bundle)
    first = write_page(own_bundle).read_text()
    assert write_page(own_bundle, tmp_path / "proof.html").read_text() == first
    kept = load_exhibits(own_bundle / "reports" / "objects.npz")
    assert [exhibit.prompt for exhibit in kept] == [HOSTILE, "nothing"] and kept[1].bundle.mesh.is_empty
    assert (kept[0].bundle.mesh.faces == report_of(own_bundle).exhibits[0].bundle.mesh.faces).all()
    (own_bundle / "reports" / "objects.npz").write_bytes(b"PK")
    with pytest.raises(BundleError, match="validate the bundle again"):
        write_page(own_bundle)
