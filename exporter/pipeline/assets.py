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


class ImageAsset(Part):
    """What a renderer sees."""

    kind: Literal["image"] = "image"
    stage: str = Field(description="The renderer")
    size: int = Field(ge=8, description="Pixels along each edge")


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
