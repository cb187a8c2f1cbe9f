"""What a pipeline takes from outside, and how that becomes a tensor, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from exporter.pipeline.part import Part


class TextInput(Part):
    """A text, made token ids int64 [B, length] by a tokenizer."""

    kind: Literal["text"] = "text"
    tensor: str = Field(description="Name of the token ids")
    file: str = Field(description="Path of the tokenizer inside the bundle, a `tokenizers` JSON")
    length: int = Field(ge=2, le=2**16, description="Tokens, begin and end included")
    pad_id: int = Field(ge=0, lt=2**32)
