"""In place of the PyTorch reference on a device without PyTorch: only what the build recorded is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.errors import EnvironmentProblem


@dataclass(frozen=True)
class NoReference:
    """`reason`: why there is none, and where the rungs that need it can be climbed."""

    reason: str

    def __getattr__(self, name: str) -> Any:
        raise EnvironmentProblem(self.reason)
