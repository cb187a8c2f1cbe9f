"""The page of the guide, in a browser, makes the mesh that Python makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trimesh

from exporter.build.build import build
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from tests.browser import chromium
from tests.pages import PAGES, ROOT
from tests.web_page import served

(PAGE,) = re.findall(r"^```html\n(.*?)^```", PAGES["docs/guides/web.md"], re.DOTALL | re.M)
QUICK = ("sampler.steps=3", "goldens.prompts=[a red chair]", "render.coarse_samples=4", "render.fine_samples=4")


@pytest.fixture
def bundle(step_cache, tmp_path: Path) -> Path:
    """A web bundle in the site that has the page."""
    bundle = tmp_path / "site/model"
    recipe = load_recipe(ROOT / "recipes/shape_e_fp32.yaml", QUICK)
    build(recipe, load_target("web"), bundle, cache=step_cache)
    (bundle.parent / "index.html").write_text(f"<!doctype html><meta charset=utf-8><body>{PAGE}", encoding="utf-8")
    return bundle


def test_the_page_makes_the_mesh_that_python_makes(bundle, tmp_path):
    with served(bundle.parent) as url, chromium() as browser:
        page = browser.new_page(accept_downloads=True)
        heard: list[str] = []
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.goto(url)
        with page.expect_download(timeout=120_000) as download:
            page.get_by_text("chair.glb").click(timeout=120_000)
        download.value.save_as(tmp_path / "chair.glb")
    made = trimesh.load(tmp_path / "chair.glb", force="mesh", process=False)
    made.merge_vertices(merge_tex=True)  # one place in two colours is two vertices
    expected = Bundle.open(bundle).generate("a red chair", seed=0, quality="draft")
    assert heard == [] and made.is_watertight
    assert abs(len(made.faces) - len(expected.faces)) < 0.01 * len(expected.faces)
