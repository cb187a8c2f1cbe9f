"""The whole sampler as one ONNX `Loop` around the step program."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

from exporter.sampling.step_graph import StepGraph, identity, sampler_model, zeros_like


def loop(step_program: Path, evaluations: int, folder: Path) -> Path:
    """Write the program sample [B,*latents], embedding [B,...] -> latents [B,*latents] into `folder`; its path.

    The weights are the body's own, stored once: ONNX Runtime fuses no dequantized weight from outside a body.
    """
    step = StepGraph(step_program)
    state = {name: f"loop/{name}" for name in ("sample", "previous_sample", "previous_prediction")}
    body_nodes = step.copy(state | {"step": "loop/iteration"})
    body_nodes += [identity("loop/condition", "loop/again"), identity(state["sample"], "loop/left_sample")]
    body = helper.make_graph(
        body_nodes,
        "evaluation",
        [
            helper.make_tensor_value_info("loop/iteration", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("loop/condition", onnx.TensorProto.BOOL, []),
            *(step.like("sample", name) for name in state.values()),
        ],
        [
            helper.make_tensor_value_info("loop/again", onnx.TensorProto.BOOL, []),
            *(step.like("sample", name) for name in ("next_sample", "loop/left_sample", "prediction")),
        ],
        initializer=list(step.initializers.values()),
    )
    count = helper.make_tensor("loop/count", onnx.TensorProto.INT64, [], [evaluations])
    always = helper.make_tensor("loop/always", onnx.TensorProto.BOOL, [], [True])
    nodes = [
        *zeros_like("sample", "loop/zeros"),
        helper.make_node(
            "Loop",
            ["loop/count", "loop/always", "sample", "loop/zeros", "loop/zeros"],
            ["latents", "loop/last_sample", "loop/last_prediction"],
            name="sampler/Loop",
            body=body,
        ),
    ]
    return sampler_model(step, nodes, [count, always], folder, without=step.initializers.keys())
