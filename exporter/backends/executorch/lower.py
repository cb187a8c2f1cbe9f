"""An exported program to ExecuTorch's `.pte`, its networks handed to XNNPACK."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from executorch.exir.passes.external_constants_pass import is_param_node

from exporter.backends.executorch.delegation import Delegation, require_delegated
from exporter.runtime.sessions.executorch import WEIGHTS
from exporter.targets.target import ExecuTorchOptions

PROGRAM = "program.pte"
RECORD = "program.etrecord"


def lower(
    stage: str,
    program: torch.export.ExportedProgram,
    constants: Mapping[str, Any],
    options: ExecuTorchOptions,
    folder: Path,
) -> Delegation:
    """Lower a program into `folder`: `program.pte`, `program.ptd` and `program.etrecord` where the target wants them.

    `constants`: numbers that it gives to its host, each by a method of that name. The parts that XNNPACK and portable
    kernels have of it are returned. Raises ValidationFailed where XNNPACK does not take the networks.
    """
    if options.external_weights:
        _tag_weights(program)
    edge = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        constant_methods=dict(constants) or None,
        generate_etrecord=options.etrecord,
    )
    delegation = require_delegated(stage, edge.exported_program().graph_module)
    outside = _weights_file if options.external_weights else False
    made = edge.to_executorch(ExecutorchBackendConfig(external_constants=outside))
    (folder / PROGRAM).write_bytes(made.buffer)
    if options.external_weights:
        made.write_tensor_data_to_file(str(folder))
    if options.etrecord:
        made.get_etrecord().save(str(folder / RECORD))
    return delegation


def _tag_weights(program: torch.export.ExportedProgram) -> None:
    """Mark the constants that XNNPACK would pack into itself for the file beside the program; in place."""
    for node in program.graph.nodes:
        if node.op == "placeholder" and is_param_node(program, node):
            node.meta.setdefault("custom", {})["delegate_constant_tag"] = _weights_file(node)


def _weights_file(_: torch.fx.Node) -> str:
    """The file, without its ending, that a constant goes into: one for all, since a loader takes one."""
    return Path(WEIGHTS).stem
