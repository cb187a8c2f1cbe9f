"""The page of a bundle of the shipped model, in headless Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trimesh

from tests.web_page import axe, by_node, kept, loaded, made, opened, pixels, served, without_packages

PROMPT = "a tall green table"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}


@pytest.fixture(scope="module")
def bundle(web_bundles: Any) -> Path:
    return web_bundles["int8"].out


@pytest.fixture(scope="module")
def url(bundle: Path) -> Iterator[str]:
    with served(bundle) as found:
        yield found


@pytest.fixture(scope="module")
def expected(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return by_node(bundle, PROMPT, tmp_path_factory.mktemp("node") / "mesh.glb", "--seed", "5")


def test_a_person_makes_an_object_turns_it_and_keeps_it_also_offline(browser, url, expected):
    with opened(browser, url, reduced_motion="reduce") as (page, heard):
        assert "one thread" in page.inner_text("#place")
        assert axe(page) == []
        page.evaluate("""() => {
            window.seen = [];
            new MutationObserver(() => seen.push(document.querySelector("#progress").value))
                .observe(document.querySelector("#progress"), { attributes: true });
        }""")
        page.get_by_label("Prompt").fill(PROMPT)
        page.get_by_label("Seed", exact=True).fill("5")
        page.keyboard.press("Enter")
        assert "triangles" in made(page) and "MB of memory" in page.inner_text("#status")
        assert {1, 2} <= set(page.evaluate("seen"))
        before = pixels(page)
        box = page.locator("#view").bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 180, box["y"] + 120, steps=4)
        page.mouse.up()
        page.wait_for_timeout(300)
        assert pixels(page) != before
        assert kept(page, "GLB") == expected
        solid = trimesh.load(io.BytesIO(kept(page, "STL")), file_type="stl")
        assert solid.is_watertight and max(solid.extents) == pytest.approx(100)
        assert kept(page, "USDZ").startswith(b"PK")
        assert axe(page) == []

        page.context.set_offline(True)
        page.reload()
        loaded(page)
        # The link of the page carries what was asked for; the page is isolated from its second visit on.
        assert page.get_by_label("Prompt").input_value() == PROMPT
        assert page.evaluate("crossOriginIsolated") and page.locator("#place").is_hidden()
        page.get_by_role("button", name="Make it").click()
        made(page)
        assert kept(page, "GLB") == expected
        assert heard == []


def test_on_a_phone_in_the_dark_by_keyboard(browser, url, expected):
    with opened(browser, f"{url}", **PHONE) as (page, heard):
        page.goto(f"{url}client/#prompt={PROMPT.replace(' ', '+')}&seed=5")
        page.reload()
        loaded(page)
        page.get_by_role("button", name="Make it").focus()
        page.keyboard.press("Enter")
        made(page)
        before = pixels(page)
        page.locator("#view").focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(300)
        assert pixels(page) != before
        assert PROMPT in page.locator("#view").get_attribute("aria-label")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert kept(page, "GLB") == expected
        assert axe(page) == [] and heard == []


def test_of_four_seeds_one_is_chosen_by_eye(browser, url, expected):
    with opened(browser, url, reduced_motion="reduce") as (page, heard):
        page.get_by_label("Prompt").fill(PROMPT)
        page.get_by_label("Seed", exact=True).fill("4")
        page.get_by_label("Make four").check()
        page.get_by_role("button", name="Make it").click()
        page.get_by_label("Seed 7").wait_for()
        assert made(page).startswith("Seed 4")
        page.get_by_label("Seed 5").check()
        assert "seed=5" in page.url and page.inner_text("#status").startswith("Seed 5")
        assert kept(page, "GLB") == expected
        assert axe(page) == [] and heard == []


def test_a_second_request_ends_the_first(browser, url):
    with opened(browser, url) as (page, heard):
        page.get_by_label("Prompt").fill("a blue car")
        page.get_by_label("Make four").check()
        page.get_by_role("button", name="Make it").click()
        page.get_by_label("Prompt").fill("something green")
        page.get_by_label("Make four").uncheck()
        page.get_by_role("button", name="Make it").click()
        made(page)
        assert "something green" in page.locator("#view").get_attribute("aria-label")
        assert page.locator("#choices").is_hidden()
        assert heard == []


def test_what_is_wrong_is_said_in_words(browser, url, bundle, tmp_path):
    with opened(browser, url) as (page, _):
        page.get_by_text("Words that it knows").click()
        assert "mushroom" in page.inner_text("#words p") and "llow" not in page.inner_text("#words p").split(", ")
        page.get_by_role("button", name="a red chair").click()
        page.get_by_label("Seed", exact=True).fill("99999999999999999999")
        page.get_by_role("button", name="Make it").click()
        page.get_by_text("seed: a whole number from 0 to 2^64 - 1").wait_for()
    with served(without_packages(bundle, tmp_path / "bare")) as bare:
        page = browser.new_page()
        page.goto(f"{bare}client/")
        page.get_by_role("alert").filter(has_text="npm ci").wait_for()
        page.close()
