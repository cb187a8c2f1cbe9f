"""The pages in headless Chromium: no network, no console error, nothing too wide for a phone, models that turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.manifest import read_manifest
from exporter.runtime.assets.pictures import mesh_picture
from tests.validate.page.pages import octahedron, report_of
from validate.page.report_page import report_page

# The canvas of a model as grey levels, drawn small.
LEVELS = """(canvas) => {
    const small = document.createElement("canvas");
    small.width = small.height = 48;
    const context = small.getContext("2d");
    context.drawImage(canvas, 0, 0, 48, 48);
    return [...context.getImageData(0, 0, 48, 48).data];
}"""


@pytest.fixture(scope="module")
def page_file(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = report_of(toy_bundle)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page(report.to_dict(), read_manifest(toy_bundle), report.exhibits), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Any]:
    """Opens the page at a width; every request but the page's own, and every console message, is kept."""
    contexts = []

    def at(width: int, scheme: str = "light") -> tuple[Any, list[str]]:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page, heard = context.new_page(), []
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url) if request.url.startswith("http") else None)
        page.goto(page_file.as_uri())
        return page, heard

    yield at
    for context in contexts:
        context.close()


def pixels(page: Any, index: int) -> np.ndarray:
    levels = page.locator(".model canvas").nth(index).evaluate(LEVELS)
    return np.array(levels, np.uint8).reshape(48, 48, 4)[..., :3]


def test_a_pair_of_models_turns_by_keys_and_by_dragging(opened: Any) -> None:
    page, heard = opened(1440)
    models = page.locator(".pair").first.locator(".model")
    models.first.focus()
    page.keyboard.press("ArrowLeft")
    from playwright.sync_api import expect

    # Not by a function: the page's policy lets nobody evaluate words as code.
    expect(page.locator(".pair:first-child .model.turned")).to_have_count(2)
    before = [pixels(page, 0), pixels(page, 1)]
    assert before[0].min() < 150 and not np.array_equal(*before)
    box = models.nth(1).bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 75, box["y"] + 70, steps=3)
    page.mouse.up()
    page.wait_for_timeout(200)
    assert all(not np.array_equal(pixels(page, i), before[i]) for i in (0, 1))
    assert heard == [] and page.title() == "toy/cpu: passed"


def test_a_model_is_drawn_as_the_toolchain_draws_it(opened: Any) -> None:
    page, _ = opened(1440)
    page.locator(".model").first.focus()
    for key in ("ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_selector(".model.turned")
    page.wait_for_timeout(200)
    expected = Image.fromarray(mesh_picture(octahedron(), 192)).resize((48, 48), Image.Resampling.BOX)
    assert np.abs(pixels(page, 0).astype(int) - np.asarray(expected, int)).mean() < 4


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen_or_asks_the_network(opened: Any, width: int, scheme: str) -> None:
    page, heard = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 128) == (scheme == "dark")
    assert heard == []
