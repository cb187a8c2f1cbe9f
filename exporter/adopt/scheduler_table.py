"""The coefficients of a foreign sampler: read from a file, or found from its scheduler's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
from pydantic import Field, ValidationError

from exporter.adopt.description import AdoptedSampling
from exporter.errors import RecipeError, did_you_mean
from exporter.recipe.section import Section
from exporter.sampling.table import CHURNED_TERMS, TERMS, CoefficientTable, table_of

# Schedulers that models come with and that know the noise levels of their training.
TRAINED_WITH = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "HeunDiscreteScheduler",
)


class TableData(Section):
    """A coefficient table as JSON data."""

    terms: list[str] = Field(default=list(TERMS), description="What the columns of the coefficients are")
    coefficients: list[list[float]] = Field(description="One row an evaluation", min_length=1)
    timesteps: list[float] = Field(description="What the network is told")
    input_scale: list[float] = Field(description="The sample is multiplied by it for the network")
    noise_levels: list[float] = Field(description="Noise to signal of the sample")
    x0: list[list[float]] = Field(description="What sample and prediction are multiplied by to give x0")
    clip: float | None = Field(default=None, description="Where x0 is clipped")
    init_noise_sigma: float = Field(description="The unit noise is multiplied by it")
    conditions: dict[str, list[float]] = Field(
        default_factory=dict, description="The weights of other sets of conditions, by their names"
    )

    def table(self) -> CoefficientTable:
        """Raises ValueError where rows or columns are missing."""
        if self.terms not in (list(TERMS), list(CHURNED_TERMS)):
            raise ValueError(
                f"terms: found {self.terms}; the columns are {', '.join(TERMS)} and, with churn, {CHURNED_TERMS[-1]}"
            )
        table = CoefficientTable(
            **{name: np.array(getattr(self, name)) for name in ("timesteps", "input_scale", "noise_levels", "x0")},
            coefficients=np.array(self.coefficients),
            clip=self.clip,
            init_noise_sigma=self.init_noise_sigma,
            conditions={name: np.array(weights) for name, weights in self.conditions.items()},
        )
        count = table.evaluations
        sizes = {"coefficients": (count, len(self.terms)), "x0": (count, 2), "input_scale": (count,)}
        for name, size in (sizes | {"noise_levels": (count,)}).items():
            if getattr(table, name).shape != size:
                raise ValueError(f"{name}: found the shape {getattr(table, name).shape}; {size} fits the timesteps")
        return table


def read_table(path: Path) -> CoefficientTable:
    """The table of a file. Raises RecipeError that says what of it is wrong."""
    try:
        return TableData.model_validate(json.loads(path.read_text(encoding="utf-8"))).table()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecipeError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise RecipeError(f"{path}: no coefficient table: {error}") from None


def probed_table(path: Path, sampling: AdoptedSampling) -> CoefficientTable:
    """The table of a sampling on the noise levels of a scheduler_config.json. Raises RecipeError as `table_of`, and for
    a file that is no such configuration."""
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecipeError(f"{path}: no JSON: {error}") from None
    name = config.get("_class_name") if isinstance(config, dict) else None
    if name not in TRAINED_WITH:
        raise RecipeError(f"{path}: _class_name: found {name!r}; {did_you_mean(str(name), TRAINED_WITH)}")
    return table_of(sampling, getattr(diffusers, name).from_config(config))
