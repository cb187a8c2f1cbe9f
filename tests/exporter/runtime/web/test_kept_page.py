"""What the page's service worker keeps, and what it does where it cannot: in headless Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.exporter.runtime.web.foreign_page import rewrite, write_foreign_page
from tests.web_page import loaded, opened, served

# Whoever waits for as long as the page's longest wait never gets on.
PATIENT = """
const after = setTimeout;
window.setTimeout = (done, wait, ...more) => (wait >= 10_000 ? 0 : after(done, wait, ...more));
"""
KEPT = """async () => {
    const [name] = await caches.keys();
    return (await (await caches.open(name)).keys()).map(({ url }) => url).filter((url) => url.endsWith(".onnx")).length;
}"""


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_foreign_page(tmp_path_factory.mktemp("page") / "bundle")


@pytest.fixture
def bundle(shared_page: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(shared_page, tmp_path / "bundle")


def test_a_visit_during_an_upload_leaves_no_damage(browser, bundle):
    program = bundle / "bend.onnx"
    whole = program.read_bytes()
    program.write_bytes(whole[:-1] + b"!")
    with served(bundle) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}client/")
        page.get_by_role("alert").filter(has_text="bend.onnx: changed").wait_for()
        program.write_bytes(whole)
        page.reload()
        loaded(page)
        context.close()


def test_a_full_storage_keeps_nothing_and_the_page_works(browser, bundle):
    with served(bundle) as url, opened(browser, url) as (page, heard):
        assert page.evaluate(KEPT) == 6
        session = page.context.new_cdp_session(page)
        session.send("Storage.overrideQuotaForOrigin", {"origin": url[:-1], "quotaSize": 1})
        rewrite(bundle, name="foreign/later")
        page.reload()
        loaded(page)
        assert page.title() == "foreign/later" and page.evaluate(KEPT) == 0 and heard == []


def test_a_page_that_was_loaded_past_the_worker_does_not_wait_for_it(browser, bundle):
    with served(bundle) as url, opened(browser, url) as (page, heard):
        page.add_init_script(PATIENT)
        with page.expect_navigation():
            page.context.new_cdp_session(page).send("Page.reload", {"ignoreCache": True})
        loaded(page)
        assert page.evaluate("navigator.serviceWorker.controller") is None and heard == []


def test_a_page_whose_worker_cannot_be_installed_does_not_wait_for_it(browser, bundle):
    (bundle / "client/verify.js").unlink()
    with served(bundle) as url:
        context = browser.new_context()
        context.add_init_script(PATIENT)
        page = context.new_page()
        page.goto(f"{url}client/")
        loaded(page)
        context.close()
