"""The recipe: which model, how to sample it, how to quantize it, and how good is good enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from exporter.errors import RecipeError
from exporter.pipeline.sampling import Churn, ConditionSchedule
from exporter.recipe.policy import Policy, Precision, Rule
from exporter.recipe.section import Section
from exporter.recipe.weights_name import placed

Saving = Literal["time", "bytes"]
ConditionSet = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Byte = Annotated[int, Field(ge=0, le=255)]
NoiseLevel = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelSection(Section):
    """Which model."""

    family: str = Field(
        title="Model family", description="The architecture, as registered under exporter/families", min_length=1
    )
    weights: str = Field(
        title="Weights",
        description="'shap-e-mini', its student 'shap-e-mini-4step' or, of family shap-e-image, 'shap-e-mini-image'; a "
        "folder in the hub's diffusers layout or with the files that OpenAI published by a path relative to this file, "
        "a hub name 'org/name[@revision]', or 'random:shap-e-300m[:seed]'; for triposr a folder or a hub name with its "
        "config.yaml and model.ckpt, or 'random:triposr[:seed]'",
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
        most = {"latents_relative_l2", "chamfer"}

        def laxest(name: str) -> Any:
            values = [getattr(one, name) for one in several]
            return None if None in values else (max if name in most else min)(values)

        return cls(**{name: laxest(name) for name in cls.model_fields})


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
