from __future__ import annotations

import json
from types import SimpleNamespace

import onnx
import pytest

from exporter.backends.web.web_backend import CLIENT, compile_program, complete, require_operators, web_operators
from exporter.errors import ValidationFailed
from exporter.runtime.sessions.session import open_session
from exporter.targets.target import load_target
from tests.exporter.backends.web.list_operators import find_operators

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


def test_the_client_goes_into_the_bundle_and_its_packages_do_not(tmp_path):
    told = complete(SimpleNamespace(target=load_target("web")), tmp_path, [])
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {f"client/{path.name}" for path in CLIENT.iterdir() if path.is_file()}
    assert {"client/index.js", "client/package.json", "client/package-lock.json"} <= names
    assert told.warnings == [load_target("web").stand_in]


def test_python_opens_it_on_the_cpu_provider(tmp_path):
    options = load_target("web").session.model_dump()
    assert options["providers"] == ["wasm"]
    session = open_session("onnxruntime-web", program(tmp_path, "Gelu"), options)
    assert session.input_names == ("x",)
