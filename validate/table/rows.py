"""Which rows the table has: data, read from rows.yaml and from recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from exporter.errors import RecipeError, did_you_mean
from exporter.recipe.document import read_yaml, validate
from exporter.recipe.quantization_section import QuantizationSection
from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.section import Section
from exporter.targets.target import Target
from validate.bench.lax import lax

ROWS = Path(__file__).parent / "rows.yaml"
ORIGINAL = "original"
BASELINE = "fp32"


class RowData(Section):
    """One row of rows.yaml."""

    name: str = Field(description="Names the row on the command line and its bundle's folder", pattern=r"^[a-z0-9_]+$")
    title: str = Field(description="What the table calls it", min_length=1)
    recipe: str | None = Field(default=None, description="A recipe whose policy it takes")
    family: str | None = Field(default=None, description="The family that its recipe is of, whose tables it is in")
    quantization: dict[str, Any] | None = Field(default=None, description="Or its own quantization section")
    opset: int | None = Field(default=None, ge=18, le=26, description="Another ONNX opset than the target's")
    student_of: str | None = Field(
        default=None, description="The weights that its recipe's were distilled from: it takes that recipe's model too"
    )

    @model_validator(mode="after")
    def _one_policy(self) -> RowData:
        if (self.recipe is None) == (self.quantization is None):
            raise ValueError(f"row '{self.name}' needs either a recipe or a quantization section")
        if self.student_of and self.recipe is None:
            raise ValueError(f"row '{self.name}' is a student's and needs a recipe")
        return self


class RowFile(Section):
    """rows.yaml."""

    stages: dict[str, dict[str, list[str]]] = Field(
        description="By family and kind of layer, the stages whose layers the rows' own rules are for"
    )
    rows: list[RowData] = Field(description="Rows in the table's order")


@dataclass(frozen=True)
class TableRow:
    """A row that a bundle is built for; `recipe` and `target` say how. `note` is worth knowing beside its figures."""

    name: str
    title: str
    recipe: Recipe
    target: Target
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A row that cannot be built, and why."""

    name: str
    title: str
    reason: str


def baseline(recipe: Recipe, target: Target) -> TableRow:
    """The bundle that times and sizes are compared with."""
    return TableRow(BASELINE, "FP32, ONNX Runtime", _variant(recipe, BASELINE, {"rules": []}), target)


def choose_rows(recipe: Recipe, path: Path, target: Target, names: Sequence[str] = ()) -> list[TableRow | Missing]:
    """The rows after the baseline, all of them or those of these names, in the order of the file.

    A name that ends in .yaml is a recipe of the user's own. A recipe of rows.yaml is looked for beside `path`, the
    table's own recipe, and that one has a row of its own where it quantizes and is none of them.
    Raises RecipeError for a name that is no row.
    """
    file = validate(RowFile, read_yaml(ROWS))
    known = {data.name: data for data in file.rows}
    recipes = [Path(name) for name in names if name.endswith(".yaml")]
    wanted = [name for name in names if not name.endswith(".yaml") and name not in (ORIGINAL, BASELINE)]
    for name in wanted:
        if name not in known:
            raise RecipeError(f"--rows: no row {name!r}; {did_you_mean(name, known)}; or the path of a recipe")
    if not names:
        wanted = [name for name, data in known.items() if data.family in (None, recipe.model.family)]
        if recipe.quantization.rules and path.name not in {data.recipe for data in known.values()}:
            recipes.append(path)
    stages = file.stages.get(recipe.model.family, {})
    rows = [_row(data, stages, recipe, path, target) for name, data in known.items() if name in wanted]
    return rows + [_own(recipe if own == path else load_recipe(own), recipe, target) for own in recipes]


def _row(data: RowData, stages: dict[str, list[str]], recipe: Recipe, path: Path, target: Target) -> TableRow | Missing:
    if data.opset is not None:
        target = target.model_copy(update={"opset": data.opset})
    try:
        if data.student_of:
            return _student(data, data.student_of, recipe, path, target)
        quantization = (
            _of_recipe(path.parent / data.recipe, recipe, path) if data.recipe else _naive(data, stages, recipe)
        )
    except RecipeError as error:
        return Missing(data.name, data.title, str(error))
    return TableRow(data.name, data.title, _variant(recipe, data.name, quantization), target)


def _student(data: RowData, teacher: str, recipe: Recipe, path: Path, target: Target) -> TableRow:
    """The model, the sampler and the policy of a student's recipe. Raises RecipeError where its teacher is another."""
    if recipe.model.weights != teacher:
        raise RecipeError(f"distilled from {teacher}, and this table's weights are {recipe.model.weights}")
    student = load_recipe(path.parent / str(data.recipe))
    own = recipe.model_copy(update={"model": student.model, "sampler": student.sampler, "samplers": student.samplers})
    sampler = student.sampler
    note = student.model.weights
    if sampler:
        note += f"; {sampler.scheduler}, {sampler.steps} steps, guidance {sampler.guidance_scale:g}"
    quantization = student.quantization.model_dump(mode="json")
    return TableRow(data.name, data.title, _variant(own, data.name, quantization), target, note)


def _of_recipe(file: Path, recipe: Recipe, path: Path) -> dict[str, Any]:
    """The policy of a recipe; the table's own is already read, with what the command line changed in it."""
    own = recipe if file == path else load_recipe(file)
    return own.quantization.model_dump(mode="json")


def _naive(data: RowData, stages: dict[str, list[str]], recipe: Recipe) -> dict[str, Any]:
    """A row's own policy for these stages, calibrated on the inputs that the table's recipe asks for. Raises
    RecipeError where there are none."""
    own = data.quantization or {}
    rules = [
        {"layers": f"{stage}/*", **rule}
        for rule in own["rules"]
        for stage in stages.get(rule.get("operator", "linear"), [])
    ]
    if not rules:
        raise RecipeError(f"{ROWS.name} names no stages of the family {recipe.model.family}")
    recorded = recipe.quantization.calibration.model_dump(mode="json")
    return own | {"rules": rules, "calibration": recorded | own.get("calibration", {})}


def _own(own: Recipe, recipe: Recipe, target: Target) -> TableRow:
    return TableRow(own.name, own.name, _variant(recipe, own.name, own.quantization.model_dump(mode="json")), target)


def _variant(recipe: Recipe, name: str, quantization: dict[str, Any]) -> Recipe:
    """The table's recipe with another policy, step by step so that every evaluation can be watched."""
    changed = {"name": f"table_{name}", "quantization": QuantizationSection.model_validate(quantization)}
    return lax(recipe).model_copy(update=changed)
