"""Polygon File Format, binary."""

from __future__ import annotations

from typing import cast

from exporter.runtime.assets.formats.colored import colored
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.placing import Placed


def to_ply(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """A binary PLY with sRGB vertex colours in 8 bits."""
    return {name: cast(bytes, colored(placed).export(file_type="ply"))}
