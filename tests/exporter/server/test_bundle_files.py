"""A web bundle's files, with the headers that threads need, and nothing beside them."""

from __future__ import annotations

import shutil

import pytest
from starlette.testclient import TestClient

from exporter.errors import BundleError
from exporter.manifest import read_manifest
from exporter.server.bundle_files import files_app
from exporter.server.host_names import hosts_of
from tests.exporter.server.served import rewritten

ISOLATED = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}


def client_of(folder):
    app = files_app(folder, read_manifest(folder), hosts_of("127.0.0.1"))
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "path, kind",
    [
        ("manifest.json", "application/json"),
        ("text_encoder.onnx", "application/octet-stream"),
        ("tokenizer/tokenizer.json", "application/json"),
        ("client/page.js", "text/javascript; charset=utf-8"),
        ("client/packages/onnxruntime-web.js", "text/javascript; charset=utf-8"),
        ("client/node_modules/onnxruntime-web/dist/ort.wasm", "application/wasm"),
        ("client/node_modules/@huggingface/tokenizers/tokenizers.mjs", "text/javascript; charset=utf-8"),
    ],
)
def test_what_the_page_needs_is_served(page_bundle, path, kind):
    answer = client_of(page_bundle).get(f"/{path}")
    assert answer.status_code == 200 and answer.content == (page_bundle / path).read_bytes()
    assert answer.headers["content-type"] == kind and answer.headers.items() >= ISOLATED.items()


def test_the_address_leads_to_the_page(page_bundle):
    answer = client_of(page_bundle).get("/")
    assert answer.url.path == "/client/" and "<title>toy" in answer.text
    assert client_of(page_bundle).get("/client").url.path == "/client/"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "tokenizer",
        "tokenizer/",
        "client/packages",
        "client/packages/",
        "client/node_modules/sharp/secret.js",
        "client/node_modules/onnxruntime-web/../sharp/secret.js",
        "client/node_modules/onnxruntime-web/%2e%2e/sharp/secret.js",
        "%2e%2e/bundle/notes.txt",
        "..%2fbundle%2fnotes.txt",
        "..%5cnotes.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "manifest.json%00.js",
        "client/node_modules/onnxruntime-web/link.js",
        "client/packages/link.js",
        "client/packages/%2e%2e/notes.txt",
        "a" * 300,
    ],
)
def test_nothing_else_is(page_bundle, tmp_path, path):
    folder = shutil.copytree(page_bundle, tmp_path / "bundle")
    for place in ("node_modules/onnxruntime-web", "packages"):
        (folder / "client" / place / "link.js").symlink_to(folder / "notes.txt")
    answer = client_of(folder).get(f"/{path}")
    assert answer.status_code == 404 and "No file of this bundle" in answer.text
    assert answer.headers.items() >= ISOLATED.items()


def test_a_listed_file_may_be_a_link(page_bundle, tmp_path):
    folder = shutil.copytree(page_bundle, tmp_path / "bundle")
    shutil.move(folder / "projector.onnx", tmp_path / "blob")
    (folder / "projector.onnx").symlink_to(tmp_path / "blob")
    assert client_of(folder).get("/projector.onnx").content == (tmp_path / "blob").read_bytes()


def test_a_browser_asks_again_and_gets_only_what_changed(page_bundle):
    client = client_of(page_bundle)
    first = client.get("/client/page.js")
    assert first.headers["cache-control"] == "no-cache"
    assert client.get("/client/page.js", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert client.get("/client/page.js", headers={"range": "bytes=0-5"}).content == first.content[:6]
    assert client.post("/client/page.js").status_code == 405


def test_what_is_missing_is_named(page_bundle, tmp_path):
    folder = shutil.copytree(page_bundle, tmp_path / "bundle")
    shutil.rmtree(folder / "client/node_modules")
    shutil.rmtree(folder / "client/packages")
    for path in ("node_modules/onnxruntime-web/dist/ort.wasm", "packages/three.module.min.js"):
        answer = client_of(folder).get(f"/client/{path}")
        assert answer.status_code == 404 and "npm ci" in answer.text
    (folder / "client/index.html").unlink()
    rewritten(folder, read_manifest(folder))
    answer = client_of(folder).get("/")
    assert answer.status_code == 404 and "carries no page" in answer.text


def test_a_bundle_of_another_target_has_no_page(toy_bundle):
    with pytest.raises(BundleError, match=r"cpu has no page; .* t3export serve --api"):
        client_of(toy_bundle)
