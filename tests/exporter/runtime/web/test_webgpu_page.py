"""The page of a bundle for WebGPU: on a graphics processor in software, and where a browser has none."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from exporter.backends.web.web_backend import complete
from exporter.files.cache import Cache
from exporter.manifest import list_files, read_manifest, write_manifest
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from exporter.targets.target import load_target
from tests.browser import WEBGPU, chromium
from tests.exporter.runtime.web.foreign_bundle import write_foreign_bundle
from tests.web_page import opened, served

TOLERANCES = {"stage_snr_db": 90.0, "latents_relative_l2": 0.001}
STAGES = ("mood", "fine", "bend")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for WebGPU with the goldens of three stages: a network, a whole sampler and a map."""
    folder = write_foreign_bundle(tmp_path_factory.mktemp("webgpu") / "bundle")
    opened_here = Bundle.open(folder)
    run = opened_here.make({"text": "round", "style": "wild"})
    goldens = {stage: [f"{stage}_000.npz"] for stage in STAGES}
    for stage in STAGES:
        taken = run.taken_by(stage) | {"sample": noise(3, (1, 3, 2, 2))}
        np.savez(folder / goldens[stage][0], allow_pickle=False, **taken, **opened_here.run_program(stage, taken))
    target = load_target("webgpu")
    complete(SimpleNamespace(target=target, cache=Cache(tmp_path_factory.mktemp("cache"))), folder, [])  # type: ignore[arg-type]
    recipe = {"name": "foreign", "validation": {"tolerances": {"fp32": TOLERANCES}}}
    changes = {"target": target.model_dump(mode="json"), "goldens": goldens, "recipe": recipe}
    write_manifest(folder, read_manifest(folder).model_copy(update=changes | {"files": list_files(folder)}))
    return folder


def checked(page: Any) -> str:
    page.get_by_role("button", name="Check it on this device").click()
    page.locator("#proof:not(:empty)").wait_for()
    return page.inner_text("#proof")


def test_its_programs_hold_on_a_graphics_processor(bundle: Path) -> None:
    with chromium(*WEBGPU) as browser, served(bundle) as url, opened(browser, url) as (page, heard):
        if page.evaluate("navigator.gpu?.requestAdapter().then((adapter) => !adapter)") is not False:
            pytest.skip("this Chromium has no WebGPU in software (SwiftShader)")
        assert page.inner_text("#place") == "It runs on the graphics processor, by WebGPU."
        assert "computes here what it should: 4 of 4 recorded outputs hold" in checked(page)
        assert heard == []


def test_without_one_they_hold_on_the_processor_and_the_page_says_why(bundle: Path) -> None:
    with chromium() as browser, served(bundle) as url, opened(browser, url) as (page, heard):
        assert page.inner_text("#place").startswith("It runs on the processor, and slower than it could: ")
        assert "WebGPU" in page.inner_text("#place")
        assert "computes here what it should: 4 of 4 recorded outputs hold" in checked(page)
        assert heard == []


def test_what_a_device_computes_wrong_is_said(bundle: Path, tmp_path: Path) -> None:
    wrong = shutil.copytree(bundle, tmp_path / "wrong")
    golden = dict(np.load(wrong / "bend_000.npz"))
    np.savez(wrong / "bend_000.npz", allow_pickle=False, **{**golden, "tint": golden["tint"] * 1.001})
    write_manifest(wrong, read_manifest(wrong).model_copy(update={"files": list_files(wrong)}))
    with chromium() as browser, served(wrong) as url, opened(browser, url) as (page, _):
        assert "does NOT compute here what it should: 3 of 4" in checked(page)
        assert "bend: 60.0 dB, wanted 90.0" in page.inner_text("#proof")
