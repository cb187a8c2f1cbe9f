"""The page of a web bundle in a headless Chromium, served as any static server would serve it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.node import CLIENT, node

LONGEST = 240_000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a folder, with a '/' at its end."""
    with ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """The page of the bundle at a URL, loaded, and whatever it complained of or asked another place for."""
    context = browser.new_context(**options)
    context.set_default_timeout(LONGEST)
    heard: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    context.on(
        "request",
        lambda request: None if request.url.startswith((url, "blob:", "data:")) else heard.append(request.url),
    )
    page.goto(f"{url}client/")
    loaded(page)
    yield page, heard
    context.close()


def loaded(page: Any) -> None:
    page.wait_for_selector("#make:enabled")


def made(page: Any) -> str:
    """What the page says of what it has made, once it has."""
    page.wait_for_selector("#stop", state="hidden")
    page.wait_for_selector("#files", state="visible")
    return page.inner_text("#status")


def kept(page: Any, format: str) -> bytes:
    """The file of a button."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {format}").click()
    return Path(download.value.path()).read_bytes()


def by_node(bundle: Path, prompt: str, out: Path, *options: str) -> bytes:
    """The GLB of the same client under Node.js."""
    command = [node(), str(CLIENT / "generate.js"), prompt, "--bundle", str(bundle), "-o", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


def pixels(page: Any) -> str:
    """A digest of what the view shows."""
    return hashlib.sha256(page.locator("#view").screenshot()).hexdigest()


def axe(page: Any) -> list[str]:
    """Faults that axe-core finds and calls serious or critical, with the elements that have them."""
    source = (CLIENT / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source)
    found = page.evaluate("axe.run()")["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in grave]


def without_packages(bundle: Path, folder: Path) -> Path:
    """A copy of a bundle as a machine without npm builds it."""
    shutil.copytree(bundle, folder)
    shutil.rmtree(folder / "client/packages")
    return folder
