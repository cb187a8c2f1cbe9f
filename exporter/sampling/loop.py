"""The whole sampler as one ONNX `Loop` around the step program."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

from exporter.pipeline.sampling import (
    NEXT_SAMPLE,
    NOISE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
)
from exporter.sampling.step_graph import StepGraph, identity, noise_at, sampler_model, zeros_like


def loop(step_program: Path, evaluations: int, folder: Path, latents: str) -> Path:
    """Write the program sample, conditions, all noise -> latents into `folder`; its path.

    The weights are the body's own, stored once: ONNX Runtime fuses no dequantized weight from outside a body.
    """
    step = StepGraph(step_program)
    state = {name: f"loop/{name}" for name in (SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION)}
    body_nodes = [noise_at("loop/iteration", "loop/noise")] if step.takes_noise else []
    body_nodes += step.copy(state | {STEP: "loop/iteration", NOISE: "loop/noise"})
    body_nodes += [identity("loop/condition", "loop/again"), identity(state[SAMPLE], "loop/left_sample")]
    body = helper.make_graph(
        body_nodes,
        "evaluation",
        [
            helper.make_tensor_value_info("loop/iteration", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("loop/condition", onnx.TensorProto.BOOL, []),
            *(step.like(SAMPLE, name) for name in state.values()),
        ],
        [
            helper.make_tensor_value_info("loop/again", onnx.TensorProto.BOOL, []),
            *(step.like(SAMPLE, name) for name in (NEXT_SAMPLE, "loop/left_sample", PREDICTION)),
        ],
        initializer=list(step.initializers.values()),
    )
    count = helper.make_tensor("loop/count", onnx.TensorProto.INT64, [], [evaluations])
    always = helper.make_tensor("loop/always", onnx.TensorProto.BOOL, [], [True])
    nodes = [
        *zeros_like(SAMPLE, "loop/zeros"),
        helper.make_node(
            "Loop",
            ["loop/count", "loop/always", SAMPLE, "loop/zeros", "loop/zeros"],
            [latents, "loop/last_sample", "loop/last_prediction"],
            name="sampler/Loop",
            body=body,
        ),
    ]
    return sampler_model(step, evaluations, nodes, [count, always], folder, latents, without=step.initializers.keys())
