"""The recipe: which model, how to sample it, how to quantize it, and how good is good enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from exporter.errors import RecipeError
from exporter.recipe.policy import Precision
from exporter.recipe.quantization_section import QuantizationSection
from exporter.recipe.sampler_section import SamplerSection
from exporter.recipe.section import Section
from exporter.recipe.validation_section import ValidationSection
from exporter.recipe.weights_name import placed

Byte = Annotated[int, Field(ge=0, le=255)]


class ModelSection(Section):
    """Which model."""

    family: str = Field(
        title="Model family", description="The architecture, as registered under exporter/families", min_length=1
    )
    weights: str = Field(
        title="Weights",
        description="'shap-e-mini', its student 'shap-e-mini-4step', of family shap-e-image 'shap-e-mini-image', of "
        "triposr 'triposr-mini'; a folder in the hub's diffusers layout or with the files that OpenAI published by a "
        "path relative to this file, a hub name 'org/name[@revision]', or 'random:shap-e-300m[:seed]'; for triposr a "
        "folder or a hub name with its config.yaml and model.ckpt, or 'random:triposr[:seed]'",
        min_length=1,
    )
    variant: str | None = Field(
        default=None,
        title="Variant",
        description="Which of the files a part is loaded from where it comes in several precisions, such as 'fp16' of "
        "`model.fp16.safetensors`; full precision for none, where it is there",
        pattern=r"^\w+$",
    )
    decoder: Literal["transmitter", "decoder"] | None = Field(
        default=None,
        title="Decoder",
        description="Of OpenAI's own files, which decodes the latents: transmitter.pt, or vector_decoder.pt; for none "
        "the one that is there, of both the transmitter",
    )
    clip: str | None = Field(
        default=None,
        title="CLIP",
        description="Beside OpenAI's own files, the folder or hub name of CLIP ViT-L/14; for none the folder "
        "clip-vit-large-patch14 beside them, or openai/clip-vit-large-patch14 on the hub",
        min_length=1,
    )

    @property
    def settings(self) -> dict[str, str]:
        """What a family's loader is given besides the weights: what is written here and is not their name."""
        return {k: v for k in ("variant", "decoder", "clip") if (v := getattr(self, k)) is not None}


class TokenizerSection(Section):
    """How prompts are read."""

    clean: Literal["none", "openai"] = Field(
        default="none",
        title="Cleaning",
        description="none: as the hub's pipeline reads them; openai: as OpenAI's tokenizer, with mojibake, curly "
        "quotes, ligatures and full-width letters mended (ftfy), HTML's entities resolved and white space made single "
        "spaces",
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
        description="coarse_to_fine: only near the surface (a part too small for a ball of about 1/18 of the volume's "
        "width can be missed where the field is far steeper there than around it); exact: every sample of the grid",
    )
    conventions: Literal["t3export", "openai"] = Field(
        default="t3export",
        title="Conventions",
        description="t3export: vertices where the field is zero, sRGB colours; openai: as OpenAI's code has them, to "
        "compare a mesh with one of its own: shrunk about the centre by (grid - 1) / (grid + 1), which it does by "
        "mistake, coloured at the shrunk places, and with linear colours at the vertices",
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
    background: list[Byte] | None = Field(
        default=None,
        min_length=3,
        max_length=3,
        title="Background",
        description="sRGB of what is behind an object, each from 0 to 255; none: what the weights have, which is white "
        "in the hub's Shap-E and black in OpenAI's own files",
    )


class GoldensSection(Section):
    """The recorded inputs and outputs that travel with a bundle."""

    prompts: list[str] = Field(
        default=[],
        title="Prompts",
        description="Prompts whose stage inputs and outputs are recorded, for a model that takes pictures their paths "
        "relative to this file",
        max_length=8,
    )
    seed: int = Field(default=0, title="Seed", description="Seed of the recorded noise", ge=0, lt=2**64)

    @field_validator("prompts")
    @classmethod
    def _one_line_each(cls, prompts: list[str]) -> list[str]:
        for prompt in prompts:
            if not prompt.strip() or len(prompt.splitlines()) != 1:
                raise ValueError(f"found the prompt {prompt!r}; every prompt is one line with at least one word")
        return prompts


class Recipe(Section):
    """A whole recipe, with `extends` already resolved when it comes from `load_recipe`."""

    _folder: Path = PrivateAttr(default_factory=Path)
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
    tokenizer: TokenizerSection = Field(
        default_factory=TokenizerSection, title="Tokenizer", description="How prompts are read"
    )
    sampler: SamplerSection | None = Field(
        default=None,
        title="Sampler",
        description="How the latents are sampled, where the model samples any. "
        "`sampler: {as: openai, guidance_scale: 15.0}` is the published sampling of Shap-E's text model, with fields "
        "to differ in written beside `as`",
    )
    samplers: dict[str, SamplerSection] = Field(
        default_factory=dict,
        title="Samplers",
        description="By stage, the fields in which it is sampled otherwise than `sampler` says, or all of them where "
        "there is none: `samplers: {upsampler: {guidance_scale: 1.0}}`",
    )
    mesh: MeshSection = Field(
        default_factory=MeshSection, title="Mesh", description="How a mesh is taken from the field"
    )
    render: RenderSection = Field(
        default_factory=RenderSection, title="Render", description="How pictures are rendered"
    )
    memory_limit_mb: int | None = Field(
        default=None,
        title="Memory limit",
        description="Most that the weights of all opened programs may take together when the bundle runs: to open one, "
        "those used longest ago are closed. At least the largest program",
        ge=1,
        json_schema_extra={"unit": "MB"},
    )
    quantization: QuantizationSection = Field(
        title="Quantization",
        description="Required, so that a recipe without this section is not silently fp32",
    )
    goldens: GoldensSection = Field(title="Goldens", description="The recorded inputs and outputs of a bundle")
    validation: ValidationSection = Field(title="Validation", description="How a bundle is judged")

    @model_validator(mode="before")
    @classmethod
    def _what_a_stage_leaves_open_is_said_for_all(cls, data: Any) -> Any:
        return with_whole_samplers(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _every_precision_has_tolerances(self) -> Recipe:
        missing = self.precisions - set(self.validation.tolerances)
        if missing:
            raise ValueError(
                f"validation.tolerances lacks {', '.join(sorted(missing))}, a precision that this recipe's stages have"
            )
        return self

    @property
    def folder(self) -> Path:
        """Where the paths in it begin: the folder of its file, the current one where it comes from none."""
        return self._folder

    def in_folder(self, folder: Path) -> Recipe:
        """The same recipe whose paths begin there."""
        placed = self.model_copy()
        placed._folder = folder
        return placed

    @property
    def weights(self) -> str:
        """The model's weights, a folder by a path that leads there from anywhere."""
        return placed(self.model.weights, self.folder)

    @property
    def model_settings(self) -> dict[str, str]:
        """What a family's loader is given besides the weights, a folder by a path that leads there from anywhere."""
        settings = self.model.settings
        return settings | ({"clip": placed(clip, self.folder)} if (clip := settings.get("clip")) else {})

    def __eq__(self, other: object) -> bool:
        """By what it says, wherever its paths begin."""
        return isinstance(other, Recipe) and self.data() == other.data()

    def __hash__(self) -> int:
        return hash(self.digest)

    def sampler_of(self, stage: str) -> SamplerSection:
        """How a stage of kind sample is sampled. Raises RecipeError where the recipe does not say."""
        sampler = self.samplers.get(stage, self.sampler)
        if sampler is None:
            raise RecipeError(f"sampler: this section is required, for stage '{stage}' samples")
        return sampler

    def with_samplers(self, change: Callable[[SamplerSection], SamplerSection]) -> Recipe:
        """The recipe with a change to how every stage is sampled."""
        own = {stage: change(sampler) for stage, sampler in self.samplers.items()}
        return self.model_copy(update={"sampler": self.sampler and change(self.sampler), "samplers": own})

    def sampler_data(self, exclude: Set[str] = frozenset()) -> dict[str, Any]:
        """All that it says of sampling, as plain data, without the fields `exclude`."""
        return {
            "sampler": self.sampler and self.sampler.model_dump(exclude=set(exclude)),
            "samplers": {stage: own.model_dump(exclude=set(exclude)) for stage, own in self.samplers.items()},
        }

    @property
    def precisions(self) -> set[Precision]:
        """Every precision that layers of this recipe may have."""
        return self.quantization.table.precisions

    def data(self) -> dict[str, Any]:
        """The resolved recipe as plain JSON data, without `extends`."""
        return self.model_dump(mode="json", exclude={"extends"})

    @property
    def digest(self) -> str:
        """sha256 (hex) of the resolved recipe's canonical JSON."""
        canonical = json.dumps(self.data(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def with_whole_samplers(data: dict[str, Any]) -> dict[str, Any]:
    """The data of a recipe, each of its `samplers` with what it leaves open: of `sampler`, and of the reference's with
    what the recipe itself has for the stage."""
    own = _completed(data.get("samplers"), lambda stage: data.get("sampler"))
    found = data | ({"samplers": own} if own else {})
    validation = data.get("validation")
    if not isinstance(validation, Mapping):
        return found
    shared, stages = validation.get("sampler"), own if isinstance(own, Mapping) else {}
    of_reference = _completed(
        validation.get("samplers"), lambda stage: shared or stages.get(stage) or data.get("sampler")
    )
    return found | ({"validation": {**validation, "samplers": of_reference}} if of_reference else {})


def _completed(samplers: Any, shared: Callable[[str], Any]) -> Any:
    if not isinstance(samplers, Mapping):
        return samplers
    return {stage: _over(shared(stage), own) for stage, own in samplers.items()}


def _over(shared: Any, own: Any) -> Any:
    return {**shared, **own} if isinstance(shared, Mapping) and isinstance(own, Mapping) else own
