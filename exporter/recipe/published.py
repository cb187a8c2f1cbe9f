"""Samplings that were published with a model, by the word that a recipe names them with: `sampler: {as: openai}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.errors import RecipeError, did_you_mean

AS = "as"
SECTIONS = (("sampler",), ("validation", "sampler"))
# Where such sections stand by the name of a stage.
BY_STAGE = (("samplers",), ("validation", "samplers"))

# openai: sample_text_to_3d.ipynb of openai/shap-e, s_churn 0; its guidance is 15 for the text model and 3 for the
# image model. The levels, rho 7, are those of Karras et al., arXiv 2206.00364.
PUBLISHED: dict[str, dict[str, Any]] = {
    "openai": {
        "scheduler": "heun",
        "steps": 64,
        "spacing": "karras",
        "highest_noise": 160.0,
        "lowest_noise": 1e-3,
        "guidance_interval": None,
        "churn": None,
        "clamp": "openai",
    }
}


def is_sampler(location: tuple[str | int, ...]) -> bool:
    """Whether a recipe says there how something is sampled."""
    return location in SECTIONS or location[:-1] in BY_STAGE


def sampler_sections(data: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The sections of a recipe that say how something is sampled, each with its location."""
    for location in SECTIONS:
        if isinstance(section := _at(data, location), dict):
            yield location, section
    for location in BY_STAGE:
        stages = _at(data, location)
        for name, section in stages.items() if isinstance(stages, dict) else ():
            if isinstance(section, dict):
                yield (*location, name), section


def _at(data: dict[str, Any], location: tuple[str, ...]) -> Any:
    section: Any = data
    for part in location:
        section = section.get(part) if isinstance(section, dict) else None
    return section


def published(name: object, place: str) -> dict[str, Any]:
    """The fields of the sampling of that name. Raises RecipeError, with the `place` it was written at, for no such."""
    if not isinstance(name, str) or name not in PUBLISHED:
        raise RecipeError(f"{place}: found {name!r}; {did_you_mean(str(name), PUBLISHED)}")
    return PUBLISHED[name]
