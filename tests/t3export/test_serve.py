"""A server in its own process: what it says, how it ends, and what it leaves."""

from __future__ import annotations

import json
import signal
import socket
import time

import pytest

from exporter.runtime.assets import optional
from t3export.cli import run
from tests.browser import chromium
from tests.exporter.server.served import write_page_bundle
from tests.load.served_process import served

SMALL = {"prompt": "a red ball", "grid": 8, "texture": False}
LONG = {"prompt": "a red ball", "grid": 256, "exact": True}
SOON = 60


def until(condition):
    ends = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def begin(server, asked):
    """A request that is under way, by its connection."""
    connection = server.connect()
    connection.request("POST", "/v1/generate", json.dumps(asked), {"Content-Type": "application/json"})
    until(lambda: server.health()["busy"])
    return connection


def test_whoever_hangs_up_cancels_and_nothing_is_left(toy_bundle, tmp_path):
    before = sorted(toy_bundle.rglob("*"))
    with served(toy_bundle, tmp_path, "--api", "--waiting", "0") as server:
        assert server.address.startswith("http://127.0.0.1:")
        begin(server, LONG).close()
        until(lambda: not server.health()["busy"])
        assert server.health()["made"] == 0
        assert server.ask("/v1/generate", SMALL)[0] == 200
        begin(server, LONG)
        status, headers, _ = server.ask("/v1/generate", SMALL)
        assert status == 429 and int(headers["retry-after"]) >= 1
        server.process.kill()
        server.process.wait()
        assert list(server.temporary.iterdir()) == [] and sorted(toy_bundle.rglob("*")) == before


def test_it_ends_well_when_it_is_told_to(toy_bundle, tmp_path):
    with served(toy_bundle, tmp_path, "--api") as server:
        assert server.ask("/v1/generate", SMALL)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(SOON) == 0
    assert "Traceback" not in (log := (tmp_path / "server.log").read_text()) and "POST /v1/generate" in log


def test_the_page_of_a_web_bundle(toy_bundle, tmp_path):
    bundle = write_page_bundle(toy_bundle, tmp_path / "bundle")
    with served(bundle, tmp_path / "server") as server:
        status, headers, content = server.ask("/client/index.html")
        assert status == 200 and b"<title>toy" in content and headers["cross-origin-embedder-policy"] == "require-corp"
        assert server.ask("/notes.txt")[0] == 404
        with chromium() as browser:
            page = browser.new_page()
            page.goto(server.address)
            assert (
                page.title() == "toy" and page.evaluate("crossOriginIsolated && typeof SharedArrayBuffer") == "function"
            )


@pytest.mark.parametrize(
    "options, code, told",
    [
        ([], 4, "has no page"),
        (["--api", "--open"], 2, "--open is for the page"),
        (["--waiting", "3"], 2, "--waiting is for --api"),
        (["--api", "--port", "70000"], 2, "--port"),
        (["--api", "--host", "203.0.113.1"], 6, "cannot listen there"),
        (["--api", "--host", "a..b"], 6, "it is no host name"),
    ],
)
def test_what_cannot_be_served_is_said(toy_bundle, capsys, options, code, told):
    assert run(["serve", str(toy_bundle), *options]) == code
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken(toy_bundle, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["serve", str(toy_bundle), "--api", "--port", str(taken.getsockname()[1])]) == 6
    assert "give another --port" in capsys.readouterr().err


def test_without_its_packages_it_names_the_extra(toy_bundle, capsys, monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda *packages: "uvicorn" not in packages)
    assert run(["serve", str(toy_bundle), "--api"]) == 6
    assert "t3export[serve]" in capsys.readouterr().err
