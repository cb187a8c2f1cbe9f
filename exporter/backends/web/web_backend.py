"""ONNX Runtime Web runs the same ONNX, with the operators that its WebAssembly has; a client goes with the programs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import onnx

from exporter.backends.backend import Addition, MadeProgram
from exporter.backends.onnxruntime import onnxruntime_backend as onnxruntime
from exporter.backends.web.page_packages import CLIENT, PACKAGES, add_packages
from exporter.errors import EnvironmentProblem, ValidationFailed
from exporter.graphs.bodies import all_graphs
from exporter.graphs.program_files import rewrite_program
from exporter.passes.split_queries import split_queries
from exporter.quantize.quantizer import LayerReport
from exporter.runtime.sessions.session import Session, open_session
from exporter.targets.target import Target
from exporter.workshop.onnx_program import OnnxProgram
from exporter.workshop.workshop import Workshop

OPERATORS = Path(__file__).with_name("operators.json")
WEBGPU = "webgpu"
_STANDARD = ("", "ai.onnx")


def make_programs(workshop: Workshop) -> list[OnnxProgram]:
    """The programs of a bundle in the order in which they run."""
    return onnxruntime.make_compiled(workshop, compile_program)


def open_program(program: Path, target: Target) -> Session:
    """A program on ONNX Runtime's CPU provider, which stands in for the browser."""
    return open_session(target.backend, program, target.session.model_dump())


def complete(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> Addition:
    """Add the JavaScript client and its page, with the npm packages that they import where this machine has npm."""
    client = folder / "client"
    shutil.copytree(CLIENT, client, ignore=shutil.ignore_patterns("node_modules", PACKAGES, ".*"))
    provider = workshop.target.session.providers[0]
    if provider == WEBGPU:
        (client / "runtime_webgpu.js").replace(client / "runtime.js")
    else:
        (client / "runtime_webgpu.js").unlink()
    addition = onnxruntime.complete(workshop, folder, made)
    try:
        add_packages(client, workshop.cache, provider)
    except EnvironmentProblem as problem:
        addition.warnings.append(
            f"the bundle's page lacks its npm packages: {problem}. Before it is opened, run `npm ci` in the bundle's "
            "folder client/, or build it again where npm is"
        )
    return addition


def compile_program(program: Path, layers: Sequence[LayerReport], folder: Path) -> Path:
    """As ONNX Runtime's own, for a program of operators that ONNX Runtime Web has, whose large attentions are split.

    Raises ValidationFailed.
    """
    require_operators(program)
    compiled = onnxruntime.compile_program(program, layers, folder)
    rewrite_program(compiled, split_queries)
    return compiled


def require_operators(program: Path) -> None:
    """Raises ValidationFailed that names the operators of a program that ONNX Runtime Web's WebAssembly lacks."""
    model = onnx.load(program, load_external_data=False)
    known = web_operators()
    opset = next(entry.version for entry in model.opset_import if entry.domain in _STANDARD)
    if opset > known["opset"]:
        raise ValidationFailed(
            f"{program}: opset {opset}; the operators of {known['runtime']} are known up to opset {known['opset']}: "
            "set the target's opset to that"
        )
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [node for graph in all_graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    lacking = {
        f"{node.domain or 'ai.onnx'}.{node.op_type} ({node.name})"
        for node in nodes
        if (node.domain, node.op_type) not in own
        and not (node.domain in _STANDARD and node.op_type in known["operators"])
    }
    if lacking:
        raise ValidationFailed(
            f"{program}: {known['runtime']} has no {', '.join(sorted(lacking)[:6])}. Leave these layers in another "
            f"precision; if a newer version has them, `make web-operators` lists its operators again"
        )


@cache
def web_operators() -> dict:
    """What `make web-operators` found: the runtime with its version, the opset, the operators it opens."""
    return json.loads(OPERATORS.read_text(encoding="utf-8"))
