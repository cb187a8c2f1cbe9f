"""A pipeline as data: inputs from outside, stages wired by the names of their tensors, and assets that come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from pydantic import Field, model_validator

from exporter.errors import RecipeError, did_you_mean
from exporter.pipeline.assets import Asset, ImageAsset, MeshAsset, PixelTensor, PointsAsset
from exporter.pipeline.inputs import Input, PictureInput, TextInput
from exporter.pipeline.part import Part
from exporter.pipeline.sampling import FROM_HOST, OWN, ConditionSchedule, Sampling, name_of
from exporter.pipeline.tensor import POINTS, RAYS, WORDS, TensorSpec

Kind = Literal["encode", "sample", "map", "field", "render"]
# Kinds that are evaluated as often as somebody likes, at points or along rays of an object.
EVALUATED: dict[str, str] = {"field": POINTS, "render": RAYS}
AnyAsset = TypeVar("AnyAsset", MeshAsset, ImageAsset, PointsAsset)


class Volume(Part):
    """What a field says of the cube around an object: the names of its tensors.

    Points and rays of a `Run` are in the cube from -1 to 1, as meshes are; programs get them times `half_width`.
    """

    distance: str = Field(description="Signed distance, or a density less the surface's own; positive inside")
    density: str = Field(description="Zero where a ray passes through")
    color: str = Field(description="sRGB")
    half_width: float = Field(
        default=1.0, gt=0, lt=1e6, description="Half an edge of the cube, in the field's own units"
    )
    squash: Literal["tanh", "exp", "none"] = Field(
        default="tanh",
        description="What the distance went through at its end; exp: it is a density, itself an exponential, less "
        "`level`",
    )
    level: float = Field(default=0.0, ge=0, description="The density of the surface, where squash is exp")

    @model_validator(mode="after")
    def _a_density_has_a_level(self) -> Volume:
        if (self.squash == "exp") != (self.level > 0):
            raise ValueError(f"squash {self.squash} with level {self.level:g}: exp has a level above 0, no other has")
        return self


class PipelineStage(Part):
    """One stage, as its program declares it: of kind sample also with what the host carries from step to step."""

    kind: Kind
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    sampling: Sampling | None = Field(default=None, description="Of a stage of kind sample")
    conditions: dict[str, ConditionSchedule] = Field(
        default_factory=dict,
        description="Of a stage of kind sample, by name, other sets of its conditions that its program takes",
    )
    volume: Volume | None = Field(default=None, description="Of a stage of kind field")

    @property
    def evaluated_at(self) -> TensorSpec:
        """The input that says where a field or a renderer is evaluated."""
        return next(spec for spec in self.inputs if EVALUATED[self.kind] in spec.shape)

    @property
    def takes(self) -> list[TensorSpec]:
        """What it takes of the inputs and of other stages."""
        if self.kind in EVALUATED:
            return [spec for spec in self.inputs if spec != self.evaluated_at]
        others = tuple(name_of(name, "") for name in self.conditions)
        return [
            spec
            for spec in self.inputs
            if self.kind != "sample" or not (spec.name in FROM_HOST or spec.name.startswith(others))
        ]

    @property
    def all_conditions(self) -> list[TensorSpec]:
        """What a stage of kind sample takes, and the same again for each other set of conditions."""
        own = self.takes
        return own + [replace(spec, name=name_of(name, spec.name)) for name in self.conditions for spec in own]

    @property
    def makes(self) -> list[TensorSpec]:
        """What later stages may take of it."""
        if self.kind in EVALUATED:
            return []
        return [self.sampling.latents] if self.sampling else self.outputs

    @property
    def is_whole_sampler(self) -> bool:
        """Whether its program holds all evaluations of a sampler."""
        return self.sampling is not None and self.sampling.unroll != "step"


class Pipeline(Part):
    inputs: dict[str, Input] = Field(description="By name, what is taken from outside")
    stages: Mapping[str, PipelineStage] = Field(description="In the order in which they run")
    assets: dict[str, Asset] = Field(description="By name, what comes out")

    def of_kind(self, *kinds: Kind) -> list[str]:
        """Names of the stages of these kinds, in order."""
        return [name for name, stage in self.stages.items() if stage.kind in kinds]

    @property
    def samplings(self) -> dict[str, Sampling]:
        """By stage of kind sample, how it samples, where that is known."""
        return {name: stage.sampling for name, stage in self.stages.items() if stage.sampling}

    def maker(self, tensor: str) -> str:
        """The stage that makes a tensor. Raises RecipeError that names the nearest there is."""
        for name, stage in self.stages.items():
            if any(spec.name == tensor for spec in stage.makes):
                return name
        raise RecipeError(f"no stage makes '{tensor}'; {did_you_mean(tensor, self.made)}")

    @property
    def made(self) -> list[str]:
        """Names of all tensors that stages make."""
        return [spec.name for stage in self.stages.values() for spec in stage.makes]

    @property
    def texts(self) -> dict[str, TextInput]:
        """The inputs that are texts."""
        return {name: source for name, source in self.inputs.items() if source.kind == "text"}

    @property
    def pictures(self) -> dict[str, PictureInput]:
        """The inputs that are pictures."""
        return {name: source for name, source in self.inputs.items() if source.kind == "picture"}

    @property
    def half_width(self) -> float:
        """Half an edge of the cube that fields and renderers see the object in, in their own units."""
        return next((stage.volume.half_width for stage in self.stages.values() if stage.volume), 1.0)

    def asset(self, kind: type[AnyAsset]) -> AnyAsset | None:
        """The asset of a kind, if there is one."""
        return next((asset for asset in self.assets.values() if isinstance(asset, kind)), None)

    def before(self, stage: str) -> list[str]:
        """The stages whose tensors a stage depends on, directly or through others, in order."""
        wanted = {spec.name for spec in self.stages[stage].takes}
        found: set[str] = set()
        for name in reversed(list(self.stages)):
            other = self.stages[name]
            if wanted & {spec.name for spec in other.makes}:
                found.add(name)
                wanted |= {spec.name for spec in other.takes}
        return [name for name in self.stages if name in found]

    def decoders_of(self, tensor: str) -> list[str]:
        """The stages between all latents and a tensor, with the one that makes it, in order."""
        maker = self.maker(tensor)
        return self.decoders(maker) or [maker]

    @property
    def condition_sets(self) -> list[str]:
        """The other sets of conditions that its samplers take."""
        return list(dict.fromkeys(name for stage in self.stages.values() for name in stage.conditions))

    def is_sampled(self, tensor: str) -> bool:
        """Whether a tensor is latents or made of them."""
        makers = [name for name, stage in self.stages.items() if any(spec.name == tensor for spec in stage.makes)]
        return any(self.stages[one].kind == "sample" for name in makers for one in (*self.before(name), name))

    def decoders(self, stage: str) -> list[str]:
        """The stages between all latents and a stage, with itself, in order."""
        sampled = self.of_kind("sample")
        earlier = {name for sampler in sampled for name in (sampler, *self.before(sampler))}
        return [name for name in (*self.before(stage), stage) if name not in earlier]

    @property
    def latents(self) -> list[str]:
        """Names of what is sampled, in order."""
        return [self.stages[stage].makes[0].name for stage in self.of_kind("sample")]

    @property
    def decoded(self) -> list[str]:
        """Names of what is sampled or, where nothing is, of what the mesh's field is made of, such as planes."""
        mesh = self.asset(MeshAsset)
        if self.latents or mesh is None:
            return self.latents
        return [spec.name for spec in self.stages[mesh.stage].takes]

    def require_sound(self) -> None:
        """Raises RecipeError for a tensor that is taken before it is made, or made twice, a stage that takes or makes
        nothing, a condition or latents with a name that a sampler's program has itself, an unknown word in a shape, a
        field or renderer that is evaluated nowhere, a volume of tensors that its field does not make, or an asset of a
        stage or a tensor that cannot give it."""
        known: dict[str, str] = {}
        for name, source in self.inputs.items():
            _add(known, source.tensor, name, f"input '{name}'")
        for name, stage in self.stages.items():
            _require_ends(name, stage)
            _require_names_beside_the_steps(name, stage)
            _require_words(name, [*stage.inputs, *stage.outputs, *stage.makes])
            _require_evaluated(name, stage)
            _require_volume(name, stage)
            for spec in stage.takes:
                if spec.name not in known:
                    raise RecipeError(f"stage '{name}' takes '{spec.name}'; {did_you_mean(spec.name, known)}")
            for spec in stage.makes:
                _add(known, spec.name, name, f"stage '{name}'")
        for name, asset in self.assets.items():
            if asset.kind == "points":
                _require_points(name, asset, [spec for stage in self.stages.values() for spec in stage.makes])
                continue
            if isinstance(asset, ImageAsset) and asset.pixels:
                _require_picture(name, asset.stage, asset.pixels, self.stages)
                continue
            wanted: Kind = "field" if asset.kind == "mesh" else "render"
            if asset.stage not in self.of_kind(wanted):
                raise RecipeError(f"asset '{name}' is of a stage of kind {wanted}, and '{asset.stage}' is none")
            if wanted == "field" and self.stages[asset.stage].volume is None:
                raise RecipeError(f"asset '{name}' is of stage '{asset.stage}', which declares no volume")


def _add(known: dict[str, str], tensor: str, maker: str, described: str) -> None:
    if tensor in known:
        raise RecipeError(f"{described} makes '{tensor}', which '{known[tensor]}' makes already")
    known[tensor] = maker


def _require_ends(name: str, stage: PipelineStage) -> None:
    if not stage.outputs:
        raise RecipeError(f"stage '{name}' makes nothing")
    if stage.kind in ("encode", "map") and not stage.takes:
        raise RecipeError(f"stage '{name}' of kind {stage.kind} takes nothing")


def _require_names_beside_the_steps(name: str, stage: PipelineStage) -> None:
    if stage.kind != "sample":
        return
    # Of a program the state is no condition; before there is a program all inputs are.
    taken = stage.takes if stage.sampling else stage.inputs
    for verb, specs in (("takes", taken), ("makes", stage.makes)):
        for spec in specs:
            if spec.name in OWN:
                raise RecipeError(
                    f"stage '{name}' {verb} '{spec.name}', and a sampler's program calls something of its own that "
                    f"({', '.join(OWN)}): give the tensor another name"
                )


def _require_picture(asset: str, stage: str, pixels: PixelTensor, stages: Mapping[str, PipelineStage]) -> None:
    if stage not in stages:
        raise RecipeError(f"asset '{asset}' is of stage '{stage}'; {did_you_mean(stage, stages)}")
    made = {spec.name: spec for spec in stages[stage].makes}
    if pixels.name not in made:
        every = [spec.name for other in stages.values() for spec in other.makes]
        raise RecipeError(
            f"asset '{asset}' is of '{pixels.name}', which '{stage}' does not make; {did_you_mean(pixels.name, every)}"
        )
    spec = made[pixels.name]
    sizes = spec.shape[1:] if len(spec.shape) == 4 else ()
    width = sizes[0 if pixels.channels == "first" else -1] if sizes else None
    if spec.dtype != "float32" or width != 3 or not all(isinstance(size, int) for size in sizes):
        wanted = "[batch, 3, height, width]" if pixels.channels == "first" else "[batch, height, width, 3]"
        raise RecipeError(
            f"asset '{asset}': with channels {pixels.channels} a picture is float32 {wanted}, and '{pixels.name}' is "
            f"{spec.dtype} [{', '.join(map(str, spec.shape))}]"
        )


def _require_evaluated(name: str, stage: PipelineStage) -> None:
    word = EVALUATED.get(stage.kind)
    if word and not any(word in spec.shape for spec in stage.inputs):
        raise RecipeError(f"stage '{name}' of kind {stage.kind} has no input with a size '{word}'")


def _require_volume(name: str, stage: PipelineStage) -> None:
    made = [spec.name for spec in stage.outputs]
    for tensor in (stage.volume.distance, stage.volume.density, stage.volume.color) if stage.volume else ():
        if tensor not in made:
            raise RecipeError(f"stage '{name}': its volume names '{tensor}'; {did_you_mean(tensor, made)}")


def _require_points(asset: str, points: PointsAsset, made: Sequence[TensorSpec]) -> None:
    shapes = {spec.name: spec.shape for spec in made}
    wanted = [points.positions, *([points.colors] if points.colors else [])]
    for tensor in wanted:
        if tensor not in shapes:
            raise RecipeError(f"asset '{asset}' is of '{tensor}', which no stage makes; {did_you_mean(tensor, shapes)}")
        if len(shapes[tensor]) != 3 or shapes[tensor][2] != 3 or shapes[tensor] != shapes[wanted[0]]:
            raise RecipeError(
                f"asset '{asset}': '{tensor}' is {list(shapes[tensor])}, and places and colours of points are both "
                "[batch, points of an object, 3]"
            )


def _require_words(stage: str, specs: Iterable[TensorSpec]) -> None:
    for spec in specs:
        for size in spec.shape:
            if isinstance(size, str) and size not in WORDS:
                raise RecipeError(f"stage '{stage}': '{spec.name}' has a size '{size}'; known are {', '.join(WORDS)}")
