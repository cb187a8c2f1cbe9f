"""Families by name. A new family registers itself under its name; recipes pick it with `model.family`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from exporter.errors import RecipeError, UnusableWeights, did_you_mean

if TYPE_CHECKING:
    from exporter.families.family import Model

Loader = Callable[..., "Model"]


class BuiltIn(NamedTuple):
    """`package`: says what the family's stages are called; `module`: its `load` loads the weights."""

    package: str
    module: str


_BUILT_IN = {
    "point-e": BuiltIn("exporter.families.point_e", "exporter.families.point_e.point_e_model"),
    "shap-e": BuiltIn("exporter.families.shap_e", "exporter.families.shap_e.model"),
    "shap-e-image": BuiltIn("exporter.families.shap_e.image", "exporter.families.shap_e.image.image_model"),
    "triposr": BuiltIn("exporter.families.triposr", "exporter.families.triposr.triposr"),
}
_loaders: dict[str, Loader] = {}


def register(name: str, loader: Loader) -> None:
    """Make `load_model(name, weights)` call `loader(weights)`.

    Of the settings in a recipe's model section a loader gets those that are among its keyword arguments.
    """
    _loaders[name] = loader


def families() -> list[str]:
    """The names that `load_model` knows."""
    return sorted({*_BUILT_IN, *_loaders})


def stage_names(family: str) -> tuple[str, ...] | None:
    """What the stages of a family are called; none where only its loaded weights can tell."""
    return importlib.import_module(_BUILT_IN[family].package).STAGES if family in _BUILT_IN else None


def uncalibrated_stages(family: str) -> tuple[str, ...]:
    """The stages of a family that are known to have no calibration before its weights are loaded."""
    package = importlib.import_module(_BUILT_IN[family].package) if family in _BUILT_IN else None
    return getattr(package, "UNCALIBRATED", ())


def known_parts(family: str) -> tuple[str, ...] | None:
    """What the pipelines of a family have, as of `fit.parts_of`; none where only its loaded weights can tell."""
    return importlib.import_module(_BUILT_IN[family].package).PARTS if family in _BUILT_IN else None


def ways_on(family: str) -> str:
    """Which weights a family takes, as a sentence for the end of an error message; empty where no one knows."""
    package = importlib.import_module(_BUILT_IN[family].package) if family in _BUILT_IN else None
    return f". Ways on: {package.WEIGHTS}." if package else ""


def load_model(family: str, weights: str, **settings: str) -> Model:
    """The model of a family with these weights; `settings`: what a recipe's model section says of them besides.

    Raises RecipeError for an unknown family or a setting that it has not, WeightsError for weights that are missing,
    damaged or of another model.
    """
    if family not in _loaders and family in _BUILT_IN:
        register(family, importlib.import_module(_BUILT_IN[family].module).load)
    if family not in _loaders:
        raise RecipeError(f"model.family: no family {family!r}; {did_you_mean(family, families())}")
    loader = _loaders[family]
    taken = inspect.signature(loader).parameters
    if unknown := next((name for name in settings if name not in taken), None):
        raise RecipeError(f"model.{unknown}: family {family!r} has no such setting; leave this field out")
    try:
        return loader(weights, **settings)
    except UnusableWeights as error:
        error.args = (f"{error}{ways_on(family)}",)
        raise
