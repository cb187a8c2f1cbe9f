"""What the web client checks before it uses a file: the manifest's own checksum, then each file's digest."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.node import run_node

OPEN = """
import { BundleFiles } from "./files.js";
const outcome = async (use) => use().then(() => "well", (error) => `${error.constructor.name}: ${error.message}`);
const read = async () => {
  const files = await BundleFiles.open(given);
  for (const path of Object.keys(files.manifest.files)) await files.read(path);
};
tell(await outcome(read));
"""
KEPT = """
import { BundleFiles } from "./files.js";
const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("new"));
const sha256 = Buffer.from(digest).toString("hex");
const asked = [];
globalThis.fetch = async (url, { cache }) => {
  asked.push(cache);
  return new Response(cache === "reload" ? given : "old");
};
const files = new BundleFiles("https://somewhere/", { files: { "field.onnx": { size: 3, sha256 } } });
const read = await files.read("field.onnx").then((bytes) => new TextDecoder().decode(bytes), ({ message }) => message);
tell([asked, read]);
"""


def test_a_whole_bundle_is_read(toy_bundle):
    assert run_node(OPEN, str(toy_bundle)) == "well"


@pytest.mark.parametrize("old, new", [('"grid": 24', '"grid": 32'), ("2.0", "2.5"), ('"toy/cpu"', '"toy/gpu"')])
def test_an_edited_manifest_is_refused(own_bundle, old, new):
    path = own_bundle / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    told = run_node(OPEN, str(own_bundle))
    assert told.startswith("BundleError") and "its checksum does not fit; build or copy the bundle again" in told


def test_a_changed_file_is_refused(own_bundle):
    path = own_bundle / "field.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    told = run_node(OPEN, str(own_bundle))
    assert told.startswith("BundleError") and "field.onnx: changed (its sha256 is not the manifest's)" in told


def test_a_file_that_a_cache_kept_from_before_is_fetched_once_more():
    assert run_node(KEPT, "new") == [["default", "reload"], "new"]
    asked, told = run_node(KEPT, "odd")
    assert asked == ["default", "reload"] and "field.onnx: changed" in told


def test_the_checksum_is_pythons_whatever_the_numbers_and_words():
    data = {
        "b": [1e-05, 3.0, 1e22, -0.5, 12345678901234567890, 0, True, None, {}],
        "a": {"é \"quoted\" \\ 1.0": "tab\t, line\n, 7 \x1f ü 模", "Z": [], "_": "-3.0"},
        "checksum": "left out",
    }  # fmt: skip
    script = 'import { canonicalJson } from "./canonical_json.js";\ntell(canonicalJson(given.text, ["checksum"]));'
    found = run_node(script, {"text": json.dumps(data, indent=2, ensure_ascii=False)})
    data.pop("checksum")
    expected = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(found.encode()).digest() == hashlib.sha256(expected.encode()).digest()
