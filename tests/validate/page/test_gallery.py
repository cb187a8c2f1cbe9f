"""The gallery: what it shows of a bundle, what it refuses, and how it looks in headless Chromium without a network."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from exporter.errors import BundleError, RecipeError
from exporter.manifest import REPORTS, read_manifest, write_manifest
from tests.toy_bundle import write_toy_bundle
from tests.validate.page.pages import octahedron, report_of
from tests.validate.page.test_browser import pixels
from tests.web_page import axe
from validate.ladder.report import REPORT_FILE, write_report
from validate.page import gallery_page as page_module
from validate.page.gallery_main import command
from validate.page.gallery_objects import Gallery, gallery_of
from validate.page.gallery_page import MOST_BYTES, gallery_page
from validate.page.models import model_shown, picture_address

pytestmark = pytest.mark.filterwarnings("ignore:.*knows none of these words")


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy bundle with a report; it knows neither of the first two prompts, and makes nothing and a ball of them."""
    folder = write_toy_bundle(tmp_path_factory.mktemp("gallery") / "bundle")
    report = report_of(folder, hits=(2, 1))
    details = dict(report.rungs[-1].details)
    for row, prompt in zip(details["objects"], ("a cyan mushroom", "an orange ball"), strict=True):
        row["prompt"] = prompt
    write_report(report, folder / REPORTS / REPORT_FILE)
    return folder


@pytest.fixture(scope="module")
def gallery(validated: Path) -> Gallery:
    return gallery_of(validated, 2)


def test_it_shows_the_first_objects_of_the_validation_with_the_judges_choice(gallery: Gallery) -> None:
    assert [one.caption for one in gallery.objects] == ["a cyan mushroom", "an orange ball"]
    nothing, ball = gallery.objects
    assert nothing.told == "seed 0, no surface, its caption is the judge's choice number 2"
    assert ball.told == f"seed 1, {ball.model.faces:,} triangles, recognised"
    assert nothing.model.faces == 0 < ball.model.faces and ball.given is None


def test_the_page_says_verdict_size_and_time(gallery: Gallery) -> None:
    bench = {"machine": {}, "sides": [{"name": "toy", "kind": "bundle", "p50": {"end_to_end": 0.25}, "p90": {}}]}
    timed, bare = (gallery_page([gallery], [one]).decode() for one in (bench, None))
    assert "✓ Passed: toy/cpu" in bare and "1 of 2" in bare and "Programs on disk" in bare
    assert "End to end" in timed and "End to end" not in bare


def test_random_weights_and_a_report_of_another_build_are_refused(validated: Path, tmp_path: Path) -> None:
    other = shutil.copytree(validated, tmp_path / "bundle")
    manifest = read_manifest(other)
    random = manifest.weights.model_copy(update={"trained": False})
    write_manifest(other, manifest.model_copy(update={"weights": random}))
    with pytest.raises(RecipeError, match="its weights are random"):
        gallery_of(other, 1)
    write_manifest(other, manifest.model_copy(update={"name": "another/cpu"}))
    with pytest.raises(BundleError, match="built again since it was validated"):
        gallery_of(other, 1)
    shutil.rmtree(other / REPORTS)
    with pytest.raises(BundleError, match="not validated yet"):
        gallery_of(other, 1)


def test_a_page_over_the_limit_is_refused(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_BYTES", 10_000)
    with pytest.raises(RecipeError, match=r"more than the 10\.0 kB it may; give fewer bundles"):
        gallery_page([gallery], [None])


def test_the_command_writes_one_file(validated: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(validated), "-o", str(tmp_path), "--objects", "1"], catch_exceptions=False)
    assert done.exit_code == 0 and [path.name for path in tmp_path.iterdir()] == ["objects.html"]


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_every_object_turns_by_keys(gallery: Gallery, browser: Any, tmp_path: Path, width: int) -> None:
    nothing, ball = gallery.objects
    green = replace(ball, caption="green", model=model_shown(octahedron((0.1, 0.6, 0.1))))
    green = replace(green, given=picture_address(np.full((9, 9, 3), 90, np.uint8)))
    gallery = replace(gallery, objects=(ball, green, nothing))
    (tmp_path / "objects.html").write_bytes(gallery_page([gallery], [None]))
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="dark", offline=True)
    page, heard = context.new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto((tmp_path / "objects.html").as_uri())
    models = page.locator(".model[tabindex]")
    assert models.count() == 2 and page.locator(".empty").count() == 1
    assert page.get_by_role("img", name="an orange ball: model of").count() == 1
    drawn = []
    for index in range(2):
        models.nth(index).focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector(f".pair:nth-child({index + 1}) .turned")
        drawn.append(pixels(page, index))
    assert all(picture.min() < 200 for picture in drawn) and not np.array_equal(*drawn)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe(page) == [] and heard == []
    context.close()


def test_the_gallery_of_the_documents_is_within_its_limit() -> None:
    folder = Path(__file__).parents[3] / "docs/gallery"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MOST_BYTES
    assert "Passed: " in (folder / "objects.html").read_text(encoding="utf-8")
