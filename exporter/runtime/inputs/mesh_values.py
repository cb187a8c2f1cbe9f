"""What a mesh file takes of those who ask for one."""

from __future__ import annotations

from exporter.errors import RecipeError
from exporter.runtime.inputs.values import require_number

SMALLEST_TEXTURE, LARGEST_TEXTURE = 64, 4096
FEWEST_TRIANGLES = 4


def require_texture(texture: object) -> bool | int:
    """Whether there is a texture, or its width in pixels. Raises RecipeError."""
    if isinstance(texture, bool):
        return texture
    return require_number("texture", texture, SMALLEST_TEXTURE, LARGEST_TEXTURE, f"{LARGEST_TEXTURE}, true or false")


def require_triangles(triangles: object) -> int | None:
    """The most triangles of a mesh, None for as many as there are. Raises RecipeError."""
    if triangles is None:
        return None
    return require_number("triangles", triangles, FEWEST_TRIANGLES, 2**31 - 1, "2^31 - 1")


def require_flag(name: str, value: object) -> bool:
    """Yes or no. Raises RecipeError."""
    if isinstance(value, bool):
        return value
    raise RecipeError(f"{name}: true or false is expected, not {value!r}")
