"""What a bundle takes of those who ask it for an object; `web/values.js` is the same for JavaScript."""

from __future__ import annotations

import operator
from typing import SupportsIndex, cast

from exporter.errors import RecipeError, did_you_mean

QUALITIES = {"draft": 64, "normal": 128, "fine": 256}
SMALLEST_GRID, LARGEST_GRID = 8, 512
LARGEST_SEED = 2**64 - 1


def require_prompt(prompt: object) -> str:
    """Text that says something. Raises RecipeError for anything else."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise RecipeError(f"prompt: words that say what to make are expected, not {prompt!r}")
    return require_text(prompt)


def require_text(prompt: str) -> str:
    """Raises RecipeError for half a surrogate pair, which Python keeps of bytes that are not UTF-8."""
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(
            f"prompt {prompt!r}: character {error.start + 1} is half of a surrogate pair, not text; was the prompt "
            "cut, or is it not in UTF-8?"
        ) from None
    return prompt


def require_seed(seed: object) -> int:
    """A whole number below 2^64, numpy's included. Raises RecipeError."""
    return require_number("seed", seed, 0, LARGEST_SEED, "2^64 - 1")


def require_grid(grid: object) -> int:
    """Samples of the field along an edge, a whole number, numpy's included. Raises RecipeError."""
    return require_number("grid", grid, SMALLEST_GRID, LARGEST_GRID, str(LARGEST_GRID))


def chosen_grid(grid: object = None, quality: object = None) -> int | None:
    """The grid of a number or of a quality by name, None for neither. Raises RecipeError for both, or another value."""
    if quality is None:
        return None if grid is None else require_grid(grid)
    if grid is not None:
        raise RecipeError(f"quality: {quality!r} stands for a grid: give grid or quality, not both")
    if not isinstance(quality, str) or quality not in QUALITIES:
        raise RecipeError(f"quality: no {quality!r}; {did_you_mean(str(quality), QUALITIES)}")
    return QUALITIES[quality]


def require_exact(exact: object) -> bool | None:
    """Whether every point is asked; None leaves it to the recipe. Raises RecipeError for anything else."""
    if exact is None or isinstance(exact, bool):
        return exact
    raise RecipeError(f"exact: yes or no is expected as a boolean, not {exact!r}")


def require_number(name: str, value: object, least: int, most: int, told: str) -> int:
    """A whole number from `least` to `most`, which `told` says in words. Raises RecipeError."""
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        raise RecipeError(f"{name}: a whole number from {least} to {told} is expected, not {value!r}")
    return number
