"""What everything that is written into a manifest has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Frozen and closed: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
