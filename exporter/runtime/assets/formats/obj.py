"""Wavefront OBJ."""

from __future__ import annotations

from typing import cast

from exporter.runtime.assets.formats.colored import colored
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.placing import Placed


def to_obj(placed: Placed, label: Label | None) -> bytes:
    """An OBJ with sRGB colours behind the coordinates of its vertices."""
    return cast(str, colored(placed).export(file_type="obj")).encode()
