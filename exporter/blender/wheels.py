"""Wheels that go into an extension, and the platforms that they are for."""

from __future__ import annotations

from pathlib import Path

from exporter.errors import RecipeError

# Blender's names, by how the last part of a wheel's name begins and ends.
PLATFORMS = {
    "linux-x64": ("manylinux", "x86_64"),
    "macos-arm64": ("macosx", "arm64"),
    "macos-x64": ("macosx", "x86_64"),
    "windows-arm64": ("win", "arm64"),
    "windows-x64": ("win", "amd64"),
}
OF_BLENDER = ("numpy",)
"""Packages that Blender has: another version of them would take the place of its own."""


def wheels_in(folder: Path, needed: str) -> list[Path]:
    """The wheels of a folder but those of packages that Blender has.

    Raises RecipeError where there is none, or none of `needed`.
    """
    wheels = [path for path in sorted(folder.glob("*.whl")) if package_of(path) not in OF_BLENDER]
    if needed not in map(package_of, wheels):
        raise RecipeError(
            f"--wheels {folder}: there is no wheel of {needed}; t3export blender without --wheels prints the commands "
            "that fill it"
        )
    return wheels


def package_of(wheel: Path) -> str:
    """The package in a wheel, by its name."""
    return wheel.name.partition("-")[0].lower()


def platforms_of(wheels: list[Path]) -> list[str]:
    """The platforms that all of these wheels are for, in Blender's names; none stands for all.

    Raises RecipeError where there is no such platform.
    """
    bound = {wheel.name: found for wheel in wheels if (found := _platforms(wheel)) is not None}
    if not bound:
        return []
    common = set(PLATFORMS).intersection(*bound.values())
    if not common:
        names = "; ".join(f"{name}: {', '.join(sorted(found)) or 'none'}" for name, found in bound.items())
        raise RecipeError(f"--wheels: no platform that all of them are for; one folder for each. {names}")
    return sorted(common)


def _platforms(wheel: Path) -> set[str] | None:
    """None for any; a tag may name several, as manylinux_2_17_x86_64.manylinux2014_x86_64."""
    tags = wheel.stem.rsplit("-", 1)[1].split(".")
    if tags == ["any"]:
        return None
    found = {
        name for name, (start, end) in PLATFORMS.items() for tag in tags if tag.startswith(start) and tag.endswith(end)
    }
    if any(tag.startswith("macosx") and tag.endswith("universal2") for tag in tags):
        found |= {"macos-arm64", "macos-x64"}
    return found
