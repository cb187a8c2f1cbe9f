"""What a file says of the object in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Label:
    """What it was made from: the prompt, the seed of its noise, the digest of the bundle."""

    prompt: str
    seed: int
    bundle: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)
