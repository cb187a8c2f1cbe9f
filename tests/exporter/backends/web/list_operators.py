"""Which operators ONNX Runtime Web opens: ONNX's own test of each, at the opset of the target, asked under Node.js."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator

from exporter.backends.web.web_backend import OPERATORS
from exporter.targets.target import load_target
from tests.node import run_node

# One small case is enough to see whether there is a kernel; the types of the rest are the programs' own business.
MOST_CASES = 8
PROBE = """
import * as ort from "onnxruntime-web";
ort.env.wasm.numThreads = 1;
const found = new Set();
for (const [operator, program] of given) {
  if (found.has(operator)) continue;
  try {
    const session = await ort.InferenceSession.create(Buffer.from(program, "base64"), {
      executionProviders: ["wasm"], logSeverityLevel: 4,
    });
    await session.release();
    found.add(operator);
  } catch {}
}
tell({ runtime: `onnxruntime-web ${ort.env.versions.web}`, operators: [...found].sort() });
"""


def find_operators() -> dict:
    """The runtime with its version, the opset, and the standard operators for which it has a kernel."""
    opset = load_target("web").opset
    assert opset is not None
    found = run_node(PROBE, list(_cases(opset)))
    return {"runtime": found["runtime"], "opset": opset, "operators": found["operators"]}


def _cases(opset: int) -> Iterator[tuple[str, str]]:
    """(operator, program in base64) of ONNX's tests of a single operator, said to be of this opset."""
    from onnx.backend.test.case.node import collect_testcases

    seen: dict[str, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in cases:
        nodes = case.model.graph.node if case.model else []
        if {node.domain for node in nodes} != {""} or len({node.op_type for node in nodes}) != 1:
            continue
        operator = nodes[0].op_type
        seen[operator] = seen.get(operator, 0) + 1
        if seen[operator] <= MOST_CASES:
            for entry in case.model.opset_import:
                entry.version = min(entry.version, opset) if entry.domain == "" else entry.version
            case.model.ir_version = min(case.model.ir_version, 10)
            yield operator, base64.b64encode(case.model.SerializeToString()).decode()


if __name__ == "__main__":
    OPERATORS.write_text(json.dumps(find_operators(), indent=1) + "\n", encoding="utf-8")
    print(f"{OPERATORS}: {len(json.loads(OPERATORS.read_text())['operators'])} operators")
