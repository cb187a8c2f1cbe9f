"""How latents are sampled, as a recipe says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from exporter.pipeline.sampling import Churn, ConditionSchedule
from exporter.recipe.section import Section

ConditionSet = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
NoiseLevel = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SamplerSection(Section):
    """How the latents are sampled."""

    scheduler: Literal["heun", "euler", "ddim", "dpmpp_2m", "flow_euler"] = Field(
        title="Scheduler",
        description="A deterministic solver whose update is linear in samples and predictions; flow_euler is for "
        "models trained by flow matching, the others are for diffusion",
    )
    steps: int = Field(
        title="Steps",
        description="Inference steps of the scheduler; Heun evaluates the denoiser 2·steps - 1 times",
        ge=1,
        le=1000,
        json_schema_extra={"unit": "steps"},
    )
    spacing: Literal["karras", "exponential"] = Field(
        default="karras",
        title="Spacing",
        description="How the noise levels of the steps are spaced. karras: as in arXiv 2206.00364, with rho 7; "
        "exponential: evenly in their logarithm, which suits few steps. ddim is even in time, "
        "flow_euler as the model's own scheduler has it",
    )
    highest_noise: float | None = Field(
        default=None,
        title="Highest noise",
        description="Noise level that sampling begins at, the model's own highest for none: Shap-E's is 403, of which "
        "few steps spend most where nothing is decided yet",
        gt=0,
        json_schema_extra={"unit": "noise levels"},
    )
    lowest_noise: float | None = Field(
        default=None,
        title="Lowest noise",
        description="Noise level that sampling ends at, the model's own lowest for none: Shap-E's is 0.11. Below the "
        "trained levels the network gets the timestep of the lowest of them, above them that of the highest",
        gt=0,
        json_schema_extra={"unit": "noise levels"},
    )
    guidance_scale: float = Field(
        title="Guidance scale",
        description="Classifier-free guidance; 1 or less runs the denoiser once per evaluation, without guidance",
        ge=0,
        le=100,
    )
    guidance_interval: list[NoiseLevel] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        title="Guidance interval",
        description="[lowest, highest] noise level with guidance; outside it the prompt's own half of the batch runs "
        "alone, at half the cost. None: guidance everywhere. A noise level is the ratio of noise to signal, "
        "sqrt((1 - a)/a) with the scheduler's cumulative alpha a; Shap-E's go from 403 down to 0.1",
        json_schema_extra={"unit": "noise levels"},
    )
    clamp: Literal["diffusers", "openai"] = Field(
        default="diffusers",
        title="Clamp order",
        description="diffusers: predictions are clamped after guidance, in the scheduler; openai: before guidance, and "
        "the network gets integer timesteps by OpenAI's own rule",
    )
    churn: Churn | None = Field(
        default=None,
        title="Churn",
        description="Fresh noise at every step, of heun only: `churn: {s_churn: 3.0}` is Point-E's base model's. "
        "None: a deterministic sampler",
    )
    conditions: dict[ConditionSet, ConditionSchedule] = Field(
        default_factory=dict,
        title="Other conditions",
        description="By name, other conditions than the prompt's that the program takes, each with its weight from "
        "evaluation to evaluation: `{negative: {replaces: none}}` is what `t3export run --negative` needs",
    )
    unroll: Literal["step", "loop", "full"] = Field(
        default="step",
        title="Unrolling",
        description="step: one graph per evaluation and a host loop; loop: one ONNX Loop; full: all steps in one graph",
    )

    @field_validator("guidance_interval")
    @classmethod
    def _from_low_to_high(cls, interval: list[float] | None) -> list[float] | None:
        if interval and interval[0] >= interval[1]:
            raise ValueError(f"found {interval}; write the lower noise level first")
        return interval

    @model_validator(mode="after")
    def _levels_go_with_schedulers_that_take_them(self) -> SamplerSection:
        fixed = {"ddim": "even in time", "flow_euler": "the model's own"}.get(self.scheduler)
        bounded = self.highest_noise is not None or self.lowest_noise is not None
        if fixed and (self.spacing != "karras" or bounded):
            raise ValueError(
                f"{self.scheduler}'s steps are {fixed}; spacing, highest_noise and lowest_noise go with heun, euler, "
                "dpmpp_2m"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_led_away_from_without_guidance(self) -> SamplerSection:
        for name, schedule in self.conditions.items():
            if schedule.replaces == "none" and self.guidance_scale <= 1.0:
                raise ValueError(f"conditions.{name} replaces none, which takes guidance_scale above 1 to matter")
        return self

    @model_validator(mode="after")
    def _churned_by_heun_only(self) -> SamplerSection:
        if self.churn and self.scheduler != "heun":
            raise ValueError(f"{self.scheduler} has no churn; churn goes with heun")
        return self

    @model_validator(mode="after")
    def _begins_above_its_end(self) -> SamplerSection:
        if self.highest_noise is not None and self.lowest_noise is not None and self.lowest_noise >= self.highest_noise:
            raise ValueError(
                f"lowest_noise {self.lowest_noise:g} is not below highest_noise {self.highest_noise:g}; sampling goes "
                "from the highest noise level to the lowest"
            )
        return self
