"""A text-to-3D model of a few lines: balls and boxes in three colours, sampled by a linear solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from exporter.manifest import StagePart
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, Volume
from exporter.pipeline.sampling import Sampling
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.run import Arrays, Draws, OnStep, Request

COLORS = {"red": (0.9, 0.1, 0.1), "green": (0.1, 0.8, 0.1), "blue": (0.1, 0.1, 0.9)}


def _tensor(name: str, *shape: int | str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, dtype, ("batch", *shape))


LATENTS = _tensor("latents", 2, 4)
EMBEDDING = _tensor("embedding", 8)
CONTEXT = [_tensor("shape", 4), _tensor("paint", 3)]
FIELD = [_tensor("signed_distance", "points", 1), _tensor("density", "points", 1), _tensor("color", "points", 3)]


def toy_pipeline(precision: str = "fp32", unroll: str = "step", steps: int = 4) -> Pipeline:
    """What the toy is, as the manifest of its bundle says it."""
    sampling = Sampling(
        scheduler="euler",
        steps=steps,
        evaluations=steps,
        guidance_scale=1.0,
        clamp="diffusers",
        unroll=unroll,
        init_noise_sigma=1.0,
        latents=LATENTS,
        table="none",
    )
    state = [replace(LATENTS, name=name) for name in ("sample", "previous_sample", "previous_prediction")]
    step = [*state, EMBEDDING, TensorSpec("step", "int64", ())]
    updated = [replace(LATENTS, name=name) for name in ("next_sample", "prediction")]

    def stage(kind: str, inputs: list[TensorSpec], outputs: list[TensorSpec], **more: Any) -> StagePart:
        return StagePart(kind=kind, program="none", inputs=inputs, outputs=outputs, precision=precision, size=0, **more)

    return Pipeline(
        inputs={"prompt": TextInput(tensor="embedding", file="none", length=2, pad_id=0)},
        stages={
            "denoiser": stage("sample", step, updated, sampling=sampling),
            "projector": stage("map", [LATENTS], CONTEXT),
            "field": stage(
                "field",
                [_tensor("points", "points", 3), *CONTEXT],
                FIELD,
                volume=Volume(distance="signed_distance", density="density", color="color"),
            ),
            "renderer": stage("render", [_tensor("rays", "rays", 2, 3), *CONTEXT], [_tensor("color", "rays", 3)]),
        },
        assets={
            "mesh": MeshAsset(stage="field", grid=24, extraction="coarse_to_fine"),
            "image": ImageAsset(stage="renderer", size=16),
        },
    )


@dataclass
class ToyModel:
    """Latents [2, 4]: row 0 is radius, boxiness and two unused, row 1 colour and steepness; all reached in `steps`."""

    steps: int = 4
    coefficient: float = 0.5
    swapped: bool = False
    scale: float = 1.0
    pipeline: Pipeline = field(default_factory=toy_pipeline)

    def read(self, requests: Sequence[Request]) -> Arrays:
        return {"embedding": np.array([_meaning(r["prompt"].split()) for r in requests], dtype=np.float32)}

    def predict(self, sample: np.ndarray, embedding: np.ndarray, step: int) -> np.ndarray:
        target = embedding.reshape(-1, 2, 4) * np.float32(self.scale)
        return (target + np.float32(0.05) * np.tanh(sample) / (step + 1)).astype(np.float32)

    def denoise(self, inputs: Arrays) -> Arrays:
        """The denoiser's program: one evaluation and one update."""
        prediction = self.predict(inputs["sample"], inputs["embedding"], int(inputs["step"]))
        keep = np.float32(self.coefficient if int(inputs["step"]) < self.steps - 1 else 0)
        return {"next_sample": keep * inputs["sample"] + (1 - keep) * prediction, "prediction": prediction}

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        sample = previous_sample = noise
        previous_prediction = np.zeros_like(noise)
        for step in range(self.steps):
            inputs = {"sample": sample, "previous_sample": previous_sample, "previous_prediction": previous_prediction,
                      "embedding": arrays["embedding"], "step": np.int64(step)}  # fmt: skip
            out = self.denoise(inputs)
            if on_step:
                on_step(step, sample, out["prediction"])
            previous_sample, previous_prediction, sample = sample, out["prediction"], out["next_sample"]
        return sample

    def project(self, latents: np.ndarray) -> Arrays:
        color = latents[:, 1, :3][:, ::-1] if self.swapped else latents[:, 1, :3]
        return {"shape": latents[:, 0], "paint": np.ascontiguousarray(color)}

    def field(self, points: np.ndarray, context: Arrays) -> Arrays:
        radius, boxiness = (context["shape"][:, None, index] for index in (0, 1))
        ball = radius - np.linalg.norm(points, axis=-1)
        box = radius - np.abs(points).max(-1)
        distance = np.tanh(4 * (boxiness * box + (1 - boxiness) * ball))[..., None].astype(np.float32)
        color = np.broadcast_to(context["paint"][:, None], points.shape).astype(np.float32)
        density = np.maximum(distance + np.float32(0.97), 0)  # as far out as its pictures are coloured
        return {"signed_distance": distance, "density": density, "color": color}

    def render(self, rays: np.ndarray, context: Arrays) -> np.ndarray:
        origin, direction = rays[:, :, 0], rays[:, :, 1]
        nearest = origin - (origin * direction).sum(-1, keepdims=True) * direction
        beyond = np.linalg.norm(nearest, axis=-1, keepdims=True) - context["shape"][:, None, :1]
        cover = 0.5 - 0.5 * np.tanh(10 * beyond)
        return (cover * context["paint"][:, None] + (1 - cover)).astype(np.float32)

    def run_program(self, name: str, inputs: Arrays) -> Arrays:
        """The programs of a bundle of this model."""
        if name == "denoiser":
            return self.denoise(inputs)
        if name == "projector":
            return self.project(inputs["latents"])
        if name == "field":
            return self.field(inputs["points"], inputs)
        return {"color": self.render(inputs["rays"], inputs)}


def _meaning(words: list[str]) -> list[float]:
    radius = 0.0 if "nothing" in words else 0.3 if "small" in words else 0.6
    color = next((COLORS[word] for word in words if word in COLORS), (0.5, 0.5, 0.5))
    return [radius, float("box" in words), 0, 0, *color, 0]
