"""Whom a server of this machine alone answers."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from exporter.manifest import read_manifest
from exporter.server.api_app import api_app
from exporter.server.bundle_files import files_app
from exporter.server.host_names import hosts_of

FORM = {"prompt": (None, "a red ball"), "grid": (None, "8"), "texture": (None, "false")}


def test_another_name_for_this_machine_is_not_answered(client_of, bundle):
    client = client_of(bundle)
    for host, status in (("evil.example", 400), ("localhost:8000", 200), ("[::1]:8000", 200)):
        assert client.get("/v1/health", headers={"host": host}).status_code == status


@pytest.mark.parametrize("origin", ["http://evil.example", "https://localhost.evil.example", "null", "http://[", ""])
def test_a_page_of_another_host_cannot_post(client_of, bundle, origin):
    client = client_of(bundle)
    answer = client.post("/v1/generate", files=FORM, headers={"origin": origin})
    assert answer.status_code == 403 and answer.json()["error"]["kind"] == "ForeignPage"
    assert answer.headers["cache-control"] == "no-store" and client.get("/v1/health").json()["made"] == 0


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://LOCALHOST:3000", "http://[::1]:8000"])
def test_a_page_of_this_machine_can(client_of, bundle, origin):
    assert client_of(bundle).post("/v1/generate", files=FORM, headers={"origin": origin}).status_code == 200


def test_a_page_of_another_host_gets_no_file_of_a_page(page_bundle):
    app = files_app(page_bundle, read_manifest(page_bundle), hosts_of("127.0.0.1"))
    client = TestClient(app, base_url="http://127.0.0.1:8000")
    assert client.get("/manifest.json", headers={"origin": "http://evil.example"}).status_code == 403


def test_a_server_for_others_answers_them_all(bundle):
    client = TestClient(api_app(bundle, 0, hosts_of("0.0.0.0")), base_url="http://t3.example")
    assert client.get("/v1/health", headers={"origin": "http://elsewhere.example"}).status_code == 200
