"""What a person writes about programs that were exported elsewhere."""

from __future__ import annotations

from pydantic import Field

from exporter.pipeline.assets import Asset
from exporter.pipeline.inputs import Input
from exporter.pipeline.pipeline import Kind, Volume
from exporter.recipe.policy import Precision
from exporter.recipe.recipe import GoldensSection
from exporter.recipe.sampler_section import SamplerSection
from exporter.recipe.section import Section
from exporter.recipe.validation_section import ValidationSection


class AdoptedSampling(SamplerSection):
    """How a stage of kind sample is sampled, and what its program computes of that."""

    latents: str = Field(title="Latents", description="Name of what is sampled", min_length=1)
    table: str | None = Field(
        default=None,
        title="Coefficient table",
        description="A file as `samplers/<stage>.json` of a bundle: the scheduler's coefficients, a row an evaluation",
    )
    scheduler_config: str | None = Field(
        default=None,
        title="Scheduler configuration",
        description="In place of the table: the model's scheduler_config.json as diffusers writes it, of whose noise "
        "levels the table is made",
    )


class AdoptedStage(Section):
    """One stage: the deployed program, and the float program that it is compared with."""

    kind: Kind = Field(title="Kind", description="What it does in the pipeline")
    program: str = Field(title="Program", description="The deployed ONNX file, by a path relative to this file")
    float_program: str = Field(
        title="Float program", description="The ONNX file in float32 that is the reference, with the same ports"
    )
    precision: Precision = Field(
        default="fp32", title="Precision", description="The lowest precision of any layer of the deployed program"
    )
    ports: dict[str, str] = Field(
        default_factory=dict,
        title="Ports",
        description="By the name of a tensor of the pipeline, what both files call it, where that is something else",
    )
    sizes: dict[str, int] = Field(
        default_factory=dict,
        title="Sizes",
        description="By the word that a file has for an open size, what it is here; the first size of a tensor counts "
        "objects, the second of a field's points and of a renderer's rays stays open too",
    )
    sampling: AdoptedSampling | None = Field(
        default=None, title="Sampling", description="Of a stage of kind sample: how it samples"
    )
    volume: Volume | None = Field(
        default=None, title="Volume", description="Of a stage of kind field: what its tensors are"
    )


class Description(Section):
    """A whole pipeline of programs that were exported elsewhere."""

    name: str = Field(title="Name", description="Names the bundle", pattern=r"^[A-Za-z0-9_-]+$")
    description: str = Field(default="", title="Description", description="One line for people")
    target: str = Field(default="cpu", title="Target", description="What runs the deployed programs")
    trained: bool = Field(
        default=True, title="Trained", description="False for random weights, which say nothing about quality"
    )
    inputs: dict[str, Input] = Field(
        default_factory=dict, title="Inputs", description="What is taken from outside; files relative to this one"
    )
    stages: dict[str, AdoptedStage] = Field(title="Stages", description="In the order in which they run", min_length=1)
    assets: dict[str, Asset] = Field(default_factory=dict, title="Assets", description="What comes out")
    goldens: GoldensSection = Field(title="Goldens", description="What the float programs are recorded on")
    validation: ValidationSection = Field(title="Validation", description="How far the programs may stray from them")

    @property
    def samplings(self) -> dict[str, AdoptedSampling]:
        """By stage of kind sample, how it samples."""
        return {name: stage.sampling for name, stage in self.stages.items() if stage.sampling}
