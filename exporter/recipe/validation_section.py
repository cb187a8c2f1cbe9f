"""How good is good enough, as a recipe says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from exporter.recipe.policy import Precision
from exporter.recipe.sampler_section import SamplerSection
from exporter.recipe.section import Section


class Tolerances(Section):
    """How far a bundle of one precision may stray from the PyTorch reference; those of what its pipeline has."""

    stage_snr_db: float = Field(
        title="Stage SNR",
        description="Least signal-to-noise ratio of any stage on recorded inputs",
        json_schema_extra={"unit": "dB"},
    )
    trajectory_snr_db: float | None = Field(
        default=None,
        title="Trajectory SNR",
        description="Least signal-to-noise ratio of the guided prediction at any timestep, teacher-forced",
        json_schema_extra={"unit": "dB"},
    )
    latents_relative_l2: float | None = Field(
        default=None,
        title="Latents",
        description="Largest relative L2 error of free-running latents",
        ge=0,
        json_schema_extra={"unit": "a fraction of the reference's norm"},
    )
    latents_forks: float = Field(
        default=0.0,
        title="Forks",
        description="Largest share of the prompts whose free-running latents may end elsewhere, further off than that: "
        "where little decides, as how an object is turned, a rounding may decide otherwise",
        ge=0,
        lt=1,
        json_schema_extra={"unit": "a fraction of the prompts"},
    )
    mesh_iou: float | None = Field(
        default=None,
        title="Volume IoU",
        description="Least intersection over union of the two volumes",
        ge=0,
        le=1,
        json_schema_extra={"unit": "a fraction between 0 and 1"},
    )
    chamfer: float | None = Field(
        default=None,
        title="Chamfer distance",
        description="Largest mean distance between the two surfaces, or of points to the nearest of the other cloud",
        ge=0,
        json_schema_extra={"unit": "volume units (the volume is 2 wide)"},
    )
    render_psnr_db: float | None = Field(
        default=None,
        title="Render PSNR",
        description="Least peak signal-to-noise ratio of the renders, and of the colours of points",
        json_schema_extra={"unit": "dB"},
    )

    @classmethod
    def together(cls, several: Sequence[Tolerances]) -> Tolerances:
        """Of each limit the laxest: what stages of several precisions may stray together."""
        most = {"latents_relative_l2", "latents_forks", "chamfer"}

        def laxest(name: str) -> Any:
            values = [getattr(one, name) for one in several]
            return None if None in values else (max if name in most else min)(values)

        return cls(**{name: laxest(name) for name in cls.model_fields})


class ValidationSection(Section):
    """How `t3export validate` judges a bundle of this recipe."""

    prompts: int = Field(
        default=160,
        title="Prompts",
        description="Prompts that R-Precision is measured on, of a model that takes pictures as many of them",
        ge=1,
        json_schema_extra={"unit": "prompts"},
    )
    seeds: int = Field(
        default=1, title="Seeds", description="Objects made of each prompt", ge=1, json_schema_extra={"unit": "seeds"}
    )
    sampler: SamplerSection | None = Field(
        default=None,
        title="Reference sampler",
        description="How the reference samples the objects that R-Precision is compared with, where this recipe saves "
        "evaluations; the recipe's own sampler for none",
    )
    samplers: dict[str, SamplerSection] = Field(
        default_factory=dict,
        title="Reference samplers",
        description="By stage, fields in which the reference samples otherwise than the field above or else the recipe "
        "itself says",
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
