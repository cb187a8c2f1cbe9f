"""How a stage of kind `sample` makes latents, and the tensors that its program has beside its conditions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from exporter.pipeline.part import Part
from exporter.pipeline.tensor import TensorSpec

SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION, STEP = "sample", "previous_sample", "previous_prediction", "step"
NEXT_SAMPLE, PREDICTION, NOISE = "next_sample", "prediction", "noise"
# What the host carries from evaluation to evaluation.
STATE = (SAMPLE, PREVIOUS_SAMPLE, PREVIOUS_PREDICTION, STEP)
# What the host gives; the other inputs of the program are conditions.
FROM_HOST = (*STATE, NOISE)
# What no condition and no latents may be called.
OWN = (*FROM_HOST, NEXT_SAMPLE, PREDICTION)


class Churn(Part):
    """Fresh noise at every step between two noise levels: Karras et al., arXiv 2206.00364, algorithm 2."""

    s_churn: float = Field(
        title="Churn", description="A step begins at its noise level times 1 + s_churn/steps, at most sqrt(2)", gt=0
    )
    s_tmin: float = Field(
        default=0.0,
        title="Lowest churned",
        description="Noise level below which no step is churned",
        ge=0,
        json_schema_extra={"unit": "noise levels"},
    )
    s_tmax: float | None = Field(
        default=None,
        title="Highest churned",
        description="Noise level above which no step is churned; none: all from s_tmin on are",
        gt=0,
        json_schema_extra={"unit": "noise levels"},
    )
    s_noise: float = Field(
        default=1.0,
        title="Noise",
        description="The fresh noise is multiplied by it; over 1 keeps detail",
        gt=0,
    )

    @model_validator(mode="after")
    def _from_low_to_high(self) -> Churn:
        if self.s_tmax is not None and self.s_tmax <= self.s_tmin:
            raise ValueError(f"s_tmax {self.s_tmax:g} is not above s_tmin {self.s_tmin:g}; no step would be churned")
        return self


# What the set of conditions is called that stands for no prompt in guidance.
NEGATIVE = "negative"


class ConditionSchedule(Part):
    """Another set of conditions that a sampler takes: in whose place, and with which weight at each evaluation."""

    replaces: Literal["none", "prompt"] = Field(
        title="Replaces",
        description="none: the absence of a prompt, which guidance leads away from (a negative prompt); prompt: the "
        "prompt itself (another one blended in)",
    )
    weights: tuple[float, float] = Field(
        default=(1.0, 1.0),
        title="Weights",
        description="[at the first evaluation, at the last], even steps between; 0 leaves what it replaces, 1 "
        "replaces all of it",
    )


def name_of(condition_set: str, tensor: str) -> str:
    """What the tensor of another set of conditions is called."""
    return f"{condition_set}.{tensor}"


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
    churn: Churn | None = Field(
        default=None, description="Of a sampler whose program takes unit normal `noise`; none: a deterministic one"
    )
    unroll: Literal["step", "loop", "full"]
    init_noise_sigma: float = Field(description="The unit noise is multiplied by it")
    latents: TensorSpec = Field(description="What is sampled")
    table: str = Field(description="File of the scheduler's coefficients, for people and other hosts")
