"""What a pipeline takes from outside, and how that becomes a tensor, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from exporter.pipeline.part import Part


class TextInput(Part):
    """A text, made token ids int64 [B, length] by a tokenizer."""

    kind: Literal["text"] = "text"
    tensor: str = Field(description="Name of the token ids")
    file: str = Field(description="Path of the tokenizer inside the bundle, a `tokenizers` JSON")
    length: int = Field(ge=2, le=2**16, description="Tokens, begin and end included")
    pad_id: int = Field(ge=0, lt=2**32)
    clean: Literal["none", "openai"] = Field(
        default="none", description="What is done to a prompt before: openai: ftfy, HTML's entities, white space"
    )

    @property
    def cleaning_file(self) -> str | None:
        """Path inside the bundle of the tables that a client needs to clean prompts without ftfy."""
        return f"{self.file}.cleaning.json" if self.clean != "none" else None


Byte = Annotated[int, Field(ge=0, le=255)]
Positive = Annotated[float, Field(gt=0)]


class Framing(Part):
    """An object brought into the middle of a square over grey, in the bits of TripoSR's own code: what is not
    transparent is cut out, its last row and column left off, and all is bytes again.

    Of a picture without transparency a plain background is cut out first: what reaches in from the border, of colours
    near the border's median.
    """

    share: float = Field(gt=0, le=1, description="Of the square's edge, what the object's longer edge takes")
    background: float = Field(ge=0, le=1, description="Grey, from 0 to 1")
    tolerance: int = Field(
        ge=0, le=255, description="How far each channel of a plain background may be from its median"
    )


class PictureInput(Part):
    """A picture, made float32 [B, 3, size, size], red first: resized, then (value - mean) / std, values from 0 to 1."""

    kind: Literal["picture"] = "picture"
    tensor: str = Field(description="Name of the picture's tensor")
    size: int = Field(ge=1, le=2**14, description="Pixels along each edge")
    shorter_edge: int | None = Field(
        default=None,
        ge=1,
        le=2**14,
        description="The shorter edge is resized to it and the middle cut out; none: both edges are resized to `size`",
    )
    resampling: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(description="Pillow's filter of that name")
    resized_as: Literal["bytes", "floats"] = Field(
        default="bytes",
        description="bytes: as Pillow does; floats: without rounding, as PyTorch's antialiased interpolation does",
    )
    mean: tuple[float, float, float] = Field(description="Of each channel, from 0 to 1")
    std: tuple[Positive, Positive, Positive] = Field(description="Of each channel")
    background: tuple[Byte, Byte, Byte] = Field(
        default=(255, 255, 255), description="sRGB, what shines through where a picture is transparent"
    )
    framing: Framing | None = Field(
        default=None, description="How an object is brought into the middle; none: the picture is taken as it is"
    )

    @model_validator(mode="after")
    def _cut_out_of_something_larger(self) -> PictureInput:
        if self.shorter_edge is not None and self.shorter_edge < self.size:
            raise ValueError(
                f"shorter_edge {self.shorter_edge} is less than the size {self.size} that is cut out of it"
            )
        return self

    @model_validator(mode="after")
    def _floats_as_they_were_compared(self) -> PictureInput:
        if self.resized_as == "floats" and (self.resampling != "bilinear" or self.shorter_edge is not None):
            raise ValueError("resized_as floats goes with resampling bilinear, without shorter_edge")
        return self


Input = Annotated[TextInput | PictureInput, Field(discriminator="kind")]
