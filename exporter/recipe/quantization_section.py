"""How weights and activations are quantized, as a recipe says it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from exporter.recipe.policy import Policy, Rule
from exporter.recipe.section import Section

Saving = Literal["time", "bytes"]


class CalibrationSection(Section):
    """What the ranges of static INT8 are taken from: the reference's own trajectories over prompts and timesteps."""

    prompts: int | list[str] = Field(
        default=32,
        title="Prompts",
        description="How many of the shipped prompts (those that validation reaches last), or your own; for a model "
        "that takes pictures their paths relative to this file, in place of a number those of `goldens`",
    )
    steps: int = Field(
        default=8,
        title="Steps",
        description="Scheduler steps of the recorded trajectories: fewer than the sampler's cross the same levels",
        ge=1,
        le=1000,
        json_schema_extra={"unit": "steps"},
    )
    evaluations: int = Field(
        default=8,
        title="Evaluations",
        description="How many evaluations of each trajectory are kept, spread evenly over the noise levels",
        ge=1,
        json_schema_extra={"unit": "evaluations"},
    )
    batch: int = Field(
        default=8,
        title="Batch",
        description="Prompts that are recorded together",
        ge=1,
        json_schema_extra={"unit": "prompts"},
    )
    seed: int = Field(default=0, title="Seed", description="Seed of prompts and noise", ge=0, lt=2**32)
    observer: Literal["minmax", "percentile", "entropy", "mse"] = Field(
        default="mse", title="Observer", description="How a range is found from what was seen"
    )
    grid: Literal["symmetric", "one_sided"] = Field(
        default="one_sided",
        title="Grid",
        description="symmetric: around zero for every activation; one_sided: those that hardly go below zero, as "
        "behind a GELU, have all their levels above it",
    )
    percentile: float = Field(
        default=99.99,
        title="Percentile",
        description="Share of magnitudes inside the range (observer percentile)",
        gt=50,
        le=100,
        json_schema_extra={"unit": "%"},
    )

    @field_validator("prompts")
    @classmethod
    def _at_least_one(cls, prompts: int | list[str]) -> int | list[str]:
        if not prompts or (isinstance(prompts, int) and prompts < 0):
            raise ValueError(f"found {prompts!r}; at least one prompt is needed")
        return prompts


class QuantizationSection(Section):
    """Which layers are quantized, and how."""

    rules: list[Rule] = Field(
        title="Rules",
        description="Layers and their precisions; the last rule that matches a layer decides, one that no rule "
        "matches stays fp32. A `policy` file's rules come before these",
    )
    policy: str | None = Field(
        default=None, title="Policy", description="A file of rules, by a path relative to this one"
    )
    saves: Saving = Field(
        default="time",
        title="Saves",
        description="What quantizing is for: a build fails when a quantized stage is slower than its float self (time, "
        "where the target runs on the building machine), or no smaller (bytes)",
    )
    smooth: float | Literal["search", "none"] = Field(
        default="none",
        title="Smoothing",
        description="SmoothQuant (arXiv 2211.10438): how much of an activation's range moves into the weights, 0 to 1; "
        "search: the best for each layer",
    )
    objective: Literal["output", "guided"] = Field(
        default="output",
        title="Objective",
        description="What rounding and smoothing keep small: the error of each layer's output, or of the guided "
        "combination of its two branches",
    )
    calibration: CalibrationSection = Field(
        default_factory=CalibrationSection, title="Calibration", description="Where the ranges come from"
    )

    @property
    def table(self) -> Policy:
        """The rules as a policy."""
        return Policy(rules=self.rules)
