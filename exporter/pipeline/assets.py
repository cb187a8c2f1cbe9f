"""What a pipeline ends in: which stage or tensor becomes which kind of file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from exporter.pipeline.part import Part


class MeshAsset(Part):
    """The surface of a field."""

    kind: Literal["mesh"] = "mesh"
    stage: str = Field(description="The field")
    grid: int = Field(ge=8, description="Samples along each edge of the volume")
    extraction: Literal["coarse_to_fine", "exact"]
    conventions: Literal["t3export", "openai"] = Field(
        default="t3export",
        description="openai: shrunk by (grid - 1) / (grid + 1) and with linear colours, as OpenAI's code makes meshes",
    )


class PixelTensor(Part):
    """A tensor float32 of three sRGB channels, [B, 3, height, width] or [B, height, width, 3], that is a picture."""

    name: str
    range: tuple[float, float] = Field(description="The values of black and of white")
    channels: Literal["first", "last"] = Field(description="Before height and width, or after them")

    @model_validator(mode="after")
    def _black_is_not_white(self) -> PixelTensor:
        if self.range[0] == self.range[1]:
            raise ValueError(f"range: {self.range[0]:g} is both black and white")
        return self


class ImageAsset(Part):
    """What a renderer sees, at any size, or a tensor of another stage, as large as it is."""

    kind: Literal["image"] = "image"
    stage: str = Field(description="The renderer, or the stage that makes the tensor")
    size: int | None = Field(default=None, ge=8, description="Pixels along each edge, of a renderer")
    pixels: PixelTensor | None = Field(
        default=None, exclude_if=lambda pixels: pixels is None, description="The tensor that is the picture"
    )

    @model_validator(mode="after")
    def _rendered_or_made(self) -> ImageAsset:
        if (self.size is None) == (self.pixels is None):
            raise ValueError("either the size of what a renderer draws, or the pixels that a stage makes")
        return self


class PointsAsset(Part):
    """Coloured points: the tensors [batch, points of an object, 3] of their places, z up, and of their colours."""

    kind: Literal["points"] = "points"
    positions: str = Field(description="Name of the tensor of places")
    half_width: float = Field(
        default=1.0, gt=0, lt=1e6, description="Half an edge of the cube that they lie in, in their own units"
    )
    colors: str | None = Field(default=None, description="Name of the tensor of sRGB colours; none: they have none")
    color_range: tuple[float, float] = Field(
        default=(0.0, 1.0), description="The numbers that stand for nothing and for the most of red, green or blue"
    )

    @model_validator(mode="after")
    def _from_dark_to_bright(self) -> PointsAsset:
        if self.color_range[0] >= self.color_range[1]:
            raise ValueError(f"color_range {list(self.color_range)} does not rise")
        return self


Asset = Annotated[MeshAsset | ImageAsset | PointsAsset, Field(discriminator="kind")]
