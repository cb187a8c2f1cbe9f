"""An exported program to ExecuTorch's `.pte`, its networks handed to XNNPACK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from exporter.backends.executorch.delegation import Delegation, require_delegated


@dataclass(frozen=True)
class Lowered:
    """The bytes of a program, and how its nodes were divided between XNNPACK and portable kernels."""

    data: bytes
    delegation: Delegation


def lower(stage: str, program: torch.export.ExportedProgram, constants: Mapping[str, Any]) -> Lowered:
    """Lower a program. `constants`: numbers that it gives to its host, each by a method of that name.

    Raises ValidationFailed where XNNPACK does not take the networks.
    """
    edge = to_edge_transform_and_lower(
        program, partitioner=[XnnpackPartitioner()], constant_methods=dict(constants) or None
    )
    delegation = require_delegated(stage, edge.exported_program().graph_module)
    return Lowered(bytes(edge.to_executorch().buffer), delegation)
