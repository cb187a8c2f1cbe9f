"""The recipe: which model, how to sample it, how to quantize it, and how good is good enough."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

StageName = Literal["text_encoder", "denoiser", "projector", "field", "renderer"]
Precision = Literal["fp32", "int8"]


class Section(BaseModel):
    """Strict, frozen and closed: a misspelt field is an error, never a silent default."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ModelSection(Section):
    """Which model."""

    family: str = Field(
        title="Model family", description="The architecture, as registered under exporter/families", min_length=1
    )
    weights: str = Field(
        title="Weights",
        description="'shap-e-mini', a folder in the hub's diffusers layout, a hub name 'org/name', "
        "or 'random:shap-e-300m[:seed]'",
        min_length=1,
    )


class SamplerSection(Section):
    """How the latents are sampled."""

    scheduler: Literal["heun", "euler", "ddim", "dpmpp_2m"] = Field(
        title="Scheduler", description="A deterministic solver whose update is linear in samples and predictions"
    )
    steps: int = Field(
        title="Steps",
        description="Inference steps of the scheduler; Heun evaluates the denoiser 2·steps - 1 times",
        ge=1,
        le=1000,
        json_schema_extra={"unit": "steps"},
    )
    guidance_scale: float = Field(
        title="Guidance scale",
        description="Classifier-free guidance; 1 or less runs the denoiser once per evaluation, without guidance",
        ge=0,
        le=100,
    )
    clamp: Literal["diffusers", "openai"] = Field(
        default="diffusers",
        title="Clamp order",
        description="diffusers: predictions are clamped after guidance, in the scheduler; openai: before guidance",
    )
    unroll: Literal["step", "loop", "full"] = Field(
        default="step",
        title="Unrolling",
        description="step: one graph per evaluation and a host loop; loop: one ONNX Loop; full: all steps in one graph",
    )


class MeshSection(Section):
    """How a mesh is taken from the field."""

    grid: int = Field(
        default=128,
        title="Grid",
        description="Samples of the field along each edge of the volume",
        ge=8,
        le=512,
        json_schema_extra={"unit": "samples per edge"},
    )
    extraction: Literal["coarse_to_fine", "exact"] = Field(
        default="coarse_to_fine",
        title="Extraction",
        description="coarse_to_fine: only near the surface (a detached part thinner than 4 cells can be missed); "
        "exact: every sample of the grid",
    )


class RenderSection(Section):
    """How pictures are rendered from the radiance field."""

    size: int = Field(
        default=128,
        title="Picture size",
        description="Width and height of a picture",
        ge=8,
        le=2048,
        json_schema_extra={"unit": "pixels"},
    )
    coarse_samples: int = Field(
        default=64,
        title="Coarse samples",
        description="Evenly spaced samples on each ray",
        ge=2,
        le=1024,
        json_schema_extra={"unit": "samples per ray"},
    )
    fine_samples: int = Field(
        default=128,
        title="Fine samples",
        description="Samples on each ray drawn from the coarse samples' weights",
        ge=2,
        le=1024,
        json_schema_extra={"unit": "samples per ray"},
    )


class QuantizationSection(Section):
    """Which stages are quantized, and how."""

    method: Literal["none", "dynamic_int8"] = Field(
        title="Method",
        description="none: fp32; dynamic_int8: ONNX Runtime's dynamic quantizer, INT8 weights per channel",
    )
    stages: list[StageName] = Field(
        default_factory=list, title="Stages", description="The stages that are quantized; the others stay fp32"
    )

    @model_validator(mode="after")
    def _method_and_stages_agree(self) -> QuantizationSection:
        if (self.method == "none") != (not self.stages):
            raise ValueError(f"method '{self.method}' does not go with stages {self.stages}: none needs an empty list")
        return self


class GoldensSection(Section):
    """The recorded inputs and outputs that travel with a bundle."""

    prompts: list[str] = Field(
        title="Prompts", description="Prompts whose stage inputs and outputs are recorded", min_length=1, max_length=8
    )
    seed: int = Field(default=0, title="Seed", description="Seed of the recorded noise", ge=0, lt=2**64)

    @field_validator("prompts")
    @classmethod
    def _one_line_each(cls, prompts: list[str]) -> list[str]:
        for prompt in prompts:
            if not prompt.strip() or len(prompt.splitlines()) != 1:
                raise ValueError(f"found the prompt {prompt!r}; every prompt is one line with at least one word")
        return prompts


class Tolerances(Section):
    """How far a bundle of one precision may stray from the PyTorch reference."""

    stage_snr_db: float = Field(
        title="Stage SNR",
        description="Least signal-to-noise ratio of any stage on recorded inputs",
        json_schema_extra={"unit": "dB"},
    )
    trajectory_snr_db: float = Field(
        title="Trajectory SNR",
        description="Least signal-to-noise ratio of the guided prediction at any timestep, teacher-forced",
        json_schema_extra={"unit": "dB"},
    )
    latents_relative_l2: float = Field(
        title="Latents",
        description="Largest relative L2 error of free-running latents",
        ge=0,
        json_schema_extra={"unit": "a fraction of the reference's norm"},
    )
    mesh_iou: float = Field(
        title="Volume IoU",
        description="Least intersection over union of the two volumes",
        ge=0,
        le=1,
        json_schema_extra={"unit": "a fraction between 0 and 1"},
    )
    chamfer: float = Field(
        title="Chamfer distance",
        description="Largest mean distance between the two surfaces",
        ge=0,
        json_schema_extra={"unit": "volume units (the volume is 2 wide)"},
    )
    render_psnr_db: float = Field(
        title="Render PSNR",
        description="Least peak signal-to-noise ratio of the renders",
        json_schema_extra={"unit": "dB"},
    )


class ValidationSection(Section):
    """How `t3export validate` judges a bundle of this recipe."""

    prompts: int = Field(
        default=160,
        title="Prompts",
        description="Prompts that R-Precision is measured on",
        ge=1,
        json_schema_extra={"unit": "prompts"},
    )
    seeds: int = Field(
        default=1, title="Seeds", description="Objects made of each prompt", ge=1, json_schema_extra={"unit": "seeds"}
    )
    max_drop: float = Field(
        default=0.0,
        title="Largest drop",
        description="By how much the bundle's R-Precision may fall below the reference's",
        ge=0,
        le=100,
        json_schema_extra={"unit": "percentage points"},
    )
    tolerances: dict[Precision, Tolerances] = Field(
        title="Tolerances", description="One set of tolerances for each precision that the bundle's stages have"
    )


class Recipe(Section):
    """A whole recipe, with `extends` already resolved when it comes from `load_recipe`."""

    name: str = Field(
        title="Name", description="Names the bundle's folder: letters, digits, '_' and '-'", pattern=r"^[A-Za-z0-9_-]+$"
    )
    description: str = Field(default="", title="Description", description="One line for people")
    extends: str | None = Field(
        default=None,
        title="Extends",
        description="Another recipe, by a path relative to this file; fields written here replace its fields, "
        "sections are merged, lists are replaced whole",
    )
    model: ModelSection = Field(title="Model", description="Which model")
    sampler: SamplerSection = Field(title="Sampler", description="How the latents are sampled")
    mesh: MeshSection = Field(
        default_factory=MeshSection, title="Mesh", description="How a mesh is taken from the field"
    )
    render: RenderSection = Field(
        default_factory=RenderSection, title="Render", description="How pictures are rendered"
    )
    quantization: QuantizationSection = Field(
        title="Quantization",
        description="Required, so that a recipe without this section is not silently fp32",
    )
    goldens: GoldensSection = Field(title="Goldens", description="The recorded inputs and outputs of a bundle")
    validation: ValidationSection = Field(title="Validation", description="How a bundle is judged")

    @model_validator(mode="after")
    def _every_precision_has_tolerances(self) -> Recipe:
        missing = self.precisions - set(self.validation.tolerances)
        if missing:
            raise ValueError(
                f"validation.tolerances lacks {', '.join(sorted(missing))}, a precision that this recipe's stages have"
            )
        return self

    @property
    def precision(self) -> Precision:
        """The lowest precision of any stage."""
        return "fp32" if self.quantization.method == "none" else "int8"

    @property
    def precisions(self) -> set[str]:
        """Every precision that stages of this recipe have."""
        return {"fp32", self.precision}

    def stage_precision(self, stage: str) -> Precision:
        """The precision of one stage by name; a whole sampler has its denoiser's."""
        role = "denoiser" if stage == "sampler" else stage
        return "int8" if role in self.quantization.stages else "fp32"

    def data(self) -> dict[str, Any]:
        """The resolved recipe as plain JSON data, without `extends`."""
        return self.model_dump(mode="json", exclude={"extends"})

    @property
    def digest(self) -> str:
        """sha256 (hex) of the resolved recipe's canonical JSON."""
        canonical = json.dumps(self.data(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()
