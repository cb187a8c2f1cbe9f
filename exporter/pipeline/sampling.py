"""How a stage of kind `sample` makes latents, and the tensors that its program has beside its conditions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from exporter.pipeline.part import Part
from exporter.pipeline.tensor import TensorSpec

SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION, STEP = "sample", "previous_sample", "previous_prediction", "step"
NEXT_SAMPLE, PREDICTION = "next_sample", "prediction"
# What the host carries from evaluation to evaluation; the other inputs of the program are conditions.
STATE = (SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION, STEP)
# What no condition and no latents may be called.
OWN = (*STATE, NEXT_SAMPLE, PREDICTION, "noise")


class Sampling(Part):
    scheduler: str
    steps: int = Field(ge=1)
    evaluations: int = Field(ge=1, description="How often the network is evaluated for one object")
    spacing: Literal["karras", "exponential"] = Field(default="karras", description="Of the steps' noise levels")
    highest_noise: float | None = Field(default=None, description="Where sampling begins; none: the model's own")
    lowest_noise: float | None = Field(default=None, description="Where sampling ends; none: the model's own")
    guidance_scale: float
    guidance_interval: list[float] | None = Field(
        default=None, description="Lowest and highest noise level with guidance; none: guidance at all of them"
    )
    clamp: Literal["diffusers", "openai"]
    unroll: Literal["step", "loop", "full"]
    init_noise_sigma: float = Field(description="The unit noise is multiplied by it")
    latents: TensorSpec = Field(description="What is sampled")
    table: str = Field(description="File of the scheduler's coefficients, for people and other hosts")
