"""Stop ends what the page's worker does, in headless Chromium: what is stopped here would not end by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from exporter.manifest import read_manifest
from exporter.runtime.bundle import Bundle
from tests.browser import chromium
from tests.exporter.runtime.web.foreign_page import rewrite, write_foreign_page
from tests.web_page import opened, served

ENDLESS = 10_000_000
# Of one file, for days.
GOLDENS = 100_000
RECIPE = {
    "name": "foreign",
    "validation": {"tolerances": {"fp32": {"stage_snr_db": 90.0, "latents_relative_l2": 0.01}}},
}
SOON = 30_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_foreign_page(tmp_path_factory.mktemp("endless") / "bundle")
    bundle = Bundle.open(folder)
    taken = bundle.make({"text": "round", "style": "wild"}).taken_by("mood")
    np.savez(folder / "mood.npz", allow_pickle=False, **taken, **bundle.run_program("mood", taken))
    stages = read_manifest(folder).stages
    sampling = stages["coarse"].sampling.model_copy(update={"evaluations": ENDLESS})
    stages["coarse"] = stages["coarse"].model_copy(update={"sampling": sampling})
    rewrite(folder, stages=stages, goldens={"mood": ["mood.npz"] * GOLDENS}, recipe=RECIPE)
    with served(folder) as found:
        yield found


@pytest.fixture
def page(url: str) -> Iterator[Any]:
    with chromium() as browser, opened(browser, url) as (found, heard):
        found.get_by_label("Text").fill("round")
        found.get_by_label("Style").fill("wild")
        yield found
        assert heard == []


def begin(page: Any) -> None:
    page.get_by_role("button", name="Make it").click()
    page.wait_for_selector(f"#progress[max='{ENDLESS + 3}']", timeout=SOON)


def stop(page: Any) -> None:
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for(timeout=SOON)
    assert page.locator("#stop").is_hidden() and page.locator("#progress").is_hidden()


def test_stop_ends_an_object_and_another_can_be_made(page):
    begin(page)
    stop(page)
    begin(page)
    stop(page)


def test_stop_ends_a_check_and_so_does_an_object(page):
    read: list[str] = []
    page.context.on("request", lambda request: request.url.endswith("mood.npz") and read.append(request.url))
    for end in (stop, begin):
        with page.context.expect_event("request", lambda request: request.url.endswith("mood.npz"), timeout=SOON):
            page.get_by_role("button", name="Check it").click()
        end(page)
        before = len(read)
        page.wait_for_timeout(300)
        assert len(read) == before
    assert page.inner_text("#proof") == ""
