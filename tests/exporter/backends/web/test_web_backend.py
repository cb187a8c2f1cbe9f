from __future__ import annotations

import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import onnx
import pytest

from exporter.backends.web import page_packages
from exporter.backends.web.page_packages import CLIENT, add_packages
from exporter.backends.web.web_backend import compile_program, complete, require_operators, web_operators
from exporter.errors import EnvironmentProblem, ValidationFailed
from exporter.files.cache import Cache
from exporter.runtime.sessions.session import open_session
from exporter.targets.target import load_target
from tests.exporter.backends.web.list_operators import find_operators
from tests.node import node

HEADER = '<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
BODY = "g (float[n] x) => (float[n] y) {{ y = {operator}(x) }}"


def program(folder, operator, opset=23):
    text = HEADER.format(opset=opset) + BODY.format(operator=operator)
    path = folder / "program.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def test_operators_that_onnxruntime_web_has_are_taken(tmp_path):
    compiled = compile_program(program(tmp_path, "Gelu"), [], tmp_path / "out")
    assert compiled.read_bytes() == (tmp_path / "program.onnx").read_bytes()


@pytest.mark.parametrize(("tokens", "attentions"), [(64, 1), (1026, 5)])
def test_an_attention_that_makes_many_scores_is_split(tmp_path, tokens, attentions):
    shape = f"float[batch, 16, {tokens}, 64]"
    text = HEADER.format(opset=23) + f"g ({shape} x) => ({shape} y) {{ y = Attention(x, x, x) }}"
    onnx.save(onnx.parser.parse_model(text), tmp_path / "program.onnx")
    compiled = onnx.load(compile_program(tmp_path / "program.onnx", [], tmp_path / "out"))
    assert sum(node.op_type == "Attention" for node in compiled.graph.node) == attentions


@pytest.mark.parametrize("operator", ["RoiAlign", "com.microsoft.FusedGelu"])
def test_an_operator_that_it_lacks_is_refused_by_name(tmp_path, operator):
    with pytest.raises(ValidationFailed, match=f"onnxruntime-web .* has no .*{operator.split('.')[-1]}"):
        require_operators(program(tmp_path, operator))


def test_operators_inside_bodies_are_seen(tmp_path):
    text = (
        HEADER.format(opset=23)
        + """
    g (bool c, float[n] x) => (float[n] y) {
        y = If(c) <then_branch = a () => (float[n] p) { p = Abs(x) },
                    else_branch = b () => (float[n] q) { q = Nope(x) }>
    }"""
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "program.onnx")
    with pytest.raises(ValidationFailed, match=r"ai\.onnx\.Nope"):
        require_operators(tmp_path / "program.onnx")


def test_a_newer_opset_is_refused(tmp_path):
    with pytest.raises(ValidationFailed, match=r"opset 24; the operators of onnxruntime-web .* up to opset 23"):
        require_operators(program(tmp_path, "Gelu", opset=24))


def test_the_list_is_of_the_pinned_version_and_the_targets_opset():
    pinned = json.loads((CLIENT / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    assert web_operators()["runtime"] == f"onnxruntime-web {pinned}"
    assert web_operators()["opset"] == load_target("web").opset
    assert {"Attention", "DequantizeLinear", "MatMulInteger", "Loop"} <= set(web_operators()["operators"])


@pytest.mark.slow
def test_the_list_is_what_onnxruntime_web_opens():
    assert find_operators() == web_operators()


def completed(folder, cache, target="web"):
    """What is told of a bundle's client, and the names of its files."""
    told = complete(SimpleNamespace(target=load_target(target), cache=Cache(cache)), folder, []).warnings
    return told, {path.relative_to(folder / "client").as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_client_goes_into_the_bundle_with_the_packages_of_its_page(tmp_path):
    told, names = completed(tmp_path / "bundle", tmp_path / "cache")
    assert {"index.html", "index.js", "page/page.js", "package-lock.json"} <= names
    assert {"packages/onnxruntime-web.js", "packages/three.module.min.js", "packages/tokenizers.js"} <= names
    assert {path.name for path in CLIENT.iterdir() if path.is_file()} - names == {"runtime_webgpu.js"}
    assert not any(name.startswith("node_modules") for name in names)
    assert told == [load_target("web").stand_in]


def test_a_client_for_webgpu_has_the_runtime_for_it_also_after_npm_ci(tmp_path):
    folder = tmp_path / "bundle"
    _, names = completed(folder, tmp_path / "cache", "webgpu")
    assert "onnxruntime-web/webgpu" in (folder / "client/runtime.js").read_text()
    of_webgpu = {"packages/onnxruntime-web.js", "packages/ort-wasm-simd-threaded.asyncify.wasm"}
    assert of_webgpu <= names and "packages/ort-wasm-simd-threaded.wasm" not in names
    shutil.rmtree(folder / "client/packages")
    (folder / "client/node_modules").symlink_to(CLIENT / "node_modules")
    (folder / "manifest.json").write_text(json.dumps({"target": load_target("webgpu").model_dump(mode="json")}))
    subprocess.run([node(), folder / "client/copy_packages.js"], check=True)
    assert of_webgpu <= {f"packages/{path.name}" for path in (folder / "client/packages").iterdir()}


def test_without_npm_the_build_says_what_the_page_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("exporter.machine.node.sys.executable", str(tmp_path / "python"))
    (_, told), names = completed(tmp_path / "bundle", tmp_path / "cache")
    assert "npm is not on this machine" in told and "run `npm ci` in the bundle's folder client/" in told
    assert "index.html" in names and not any(name.startswith("packages/") for name in names)


def test_packages_of_other_versions_are_fetched_by_npm(tmp_path, monkeypatch):
    """The registry is not asked here: npm is a script that does what it is told."""
    client = tmp_path / "client"
    client.mkdir()
    pins = {"dependencies": {"@huggingface/tokenizers": "9", "onnxruntime-web": "9", "three": "9"}}
    (client / "package.json").write_text(json.dumps(pins))
    (client / "package-lock.json").write_text("{}")
    shutil.copyfile(CLIENT / "copy_packages.js", client / "copy_packages.js")
    (client / "node_modules").symlink_to(CLIENT / "node_modules")
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho 'npm error code E404' >&2\necho 'npm error 404 Not found' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(page_packages, "CLIENT", client)
    with pytest.raises(EnvironmentProblem, match=r"npm failed: .*404"):
        add_packages(tmp_path, Cache(tmp_path / "cache"), "wasm")
    made = "for f in @huggingface/tokenizers onnxruntime-web three; do\n"
    made += 'mkdir -p "$last/node_modules/$f"; cp -r "$0.packages/$f/." "$last/node_modules/$f/"; done\n'
    for name in pins["dependencies"]:
        folder = tmp_path / "bin/npm.packages" / name
        for file in ("dist", "build", "examples/jsm/controls", "examples/jsm/exporters", "examples/jsm/libs"):
            (folder / file).mkdir(parents=True)
        (folder / "package.json").write_text('{"version": "9"}')
        for file in ("LICENSE", "dist/tokenizers.min.mjs", "dist/ort.wasm.bundle.min.mjs", "build/three.core.min.js",
                     "dist/ort-wasm-simd-threaded.wasm", "build/three.module.min.js",
                     "examples/jsm/controls/OrbitControls.js", "examples/jsm/exporters/USDZExporter.js",
                     "examples/jsm/libs/fflate.module.js"):  # fmt: skip
            (folder / file).write_text(f"{name} {file}")
    npm.write_text(f"#!/bin/sh\nfor last; do :; done\n{made}")
    add_packages(tmp_path, Cache(tmp_path / "cache"), "wasm")
    assert (tmp_path / "packages/three.LICENSE").read_text() == "three LICENSE"


def test_python_opens_it_on_the_cpu_provider(tmp_path):
    options = load_target("web").session.model_dump()
    assert options["providers"] == ["wasm"]
    session = open_session("onnxruntime-web", program(tmp_path, "Gelu"), options)
    assert session.input_names == ("x",)
