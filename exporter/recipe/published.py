"""Samplings that were published with a model, by the word that a recipe names them with: `sampler: {as: openai}`."""

from __future__ import annotations

from typing import Any

from exporter.errors import RecipeError, did_you_mean

AS = "as"
SECTIONS = (("sampler",), ("validation", "sampler"))

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
        "clamp": "openai",
    }
}


def published(name: object, place: str) -> dict[str, Any]:
    """The fields of the sampling of that name. Raises RecipeError, with the `place` it was written at, for no such."""
    if not isinstance(name, str) or name not in PUBLISHED:
        raise RecipeError(f"{place}: found {name!r}; {did_you_mean(str(name), PUBLISHED)}")
    return PUBLISHED[name]
