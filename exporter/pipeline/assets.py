"""What a pipeline ends in: which stage or tensor becomes which kind of file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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


class ImageAsset(Part):
    """What a renderer sees."""

    kind: Literal["image"] = "image"
    stage: str = Field(description="The renderer")
    size: int = Field(ge=8, description="Pixels along each edge")


Asset = Annotated[MeshAsset | ImageAsset, Field(discriminator="kind")]
