"""Which rows a table has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.errors import RecipeError
from exporter.families.registry import stage_names, uncalibrated_stages
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.target import load_target
from validate.table.rows import ROWS, Missing, RowData, TableRow, baseline, choose_rows

FP32 = Path(__file__).parents[3] / "recipes" / "shape_e_fp32.yaml"
INT8 = FP32.with_name("shape_e_int8.yaml")
CPU = load_target("cpu")


@pytest.fixture
def recipes(tmp_path):
    """A folder with the fp32 recipe and one of its own policy; the path of the latter."""
    (tmp_path / FP32.name).write_text(FP32.read_text())
    own = tmp_path / "own.yaml"
    rules = [{"layers": "denoiser/*", "precision": "int8_dynamic"}]
    tolerances = {"int8_dynamic": load_recipe(FP32).validation.tolerances["fp32"].model_dump()}
    content = {"extends": FP32.name, "name": "own", "quantization": {"rules": rules}}
    own.write_text(yaml.safe_dump(content | {"validation": {"tolerances": tolerances}}))
    return own


def rows(path, *names, overrides=()):
    return choose_rows(load_recipe(path, overrides), path, CPU, names)


def test_the_baseline_quantizes_nothing_and_shows_every_step():
    row = baseline(load_recipe(FP32, ["sampler.unroll=loop"]), CPU)
    assert row.recipe.quantization.rules == [] and row.recipe.sampler.unroll == "step"


def test_every_shipped_row_is_a_recipe_or_says_which_is_missing():
    shipped = yaml.safe_load(ROWS.read_text())["rows"]
    names = [data["name"] for data in shipped if data.get("family", "shap-e") == "shap-e"]
    found = rows(FP32)
    assert [row.name for row in found] == names
    own = [row for row in found if not row.name.startswith(("tuned", "student"))]
    assert all(isinstance(row, TableRow) and row.recipe.quantization.rules for row in own)
    assert all("no such file" in row.reason for row in found if isinstance(row, Missing))


def test_model_and_sampler_are_the_tables_own(recipes):
    overrides = ["sampler.steps=5", "quantization.calibration.prompts=7"]
    for row in rows(FP32, "int8_linear", "int8_all", str(recipes), overrides=overrides):
        assert row.recipe.sampler.steps == 5 and row.recipe.model == load_recipe(FP32).model
        wanted = 32 if row.name == "own" else 7
        assert row.recipe.quantization.calibration.prompts == wanted


def test_a_naive_row_takes_ranges_from_the_largest_values():
    (row,) = rows(FP32, "int8_linear", overrides=["quantization.calibration.observer=entropy"])
    assert row.recipe.quantization.calibration.observer == "minmax"


def test_a_table_of_another_family_has_its_own_stages_and_recipes():
    found = {row.name: row for row in rows(FP32.with_name("point_e_fp32.yaml"))}
    assert list(found) == ["int8_linear", "int8_all", "int8_dynamic", "int4_weights", "tuned_point_e_int8"]
    assert all(isinstance(row, TableRow) for row in found.values())
    rules = found["int8_all"].recipe.quantization.rules
    assert {rule.layers for rule in rules} == {"text_encoder/*", "base/*", "upsampler/*", "cloud_encoder/*"}
    assert len(rules) == 16 and len(found["int8_linear"].recipe.quantization.rules) == 4


@pytest.mark.parametrize("family", ["point-e", "shap-e", "shap-e-image", "triposr"])
def test_naive_rows_are_for_stages_of_the_family_that_are_calibrated(family):
    named = yaml.safe_load(ROWS.read_text())["stages"][family]
    assert set(named) == {"linear", "attention", "norm", "activation"} and all(named.values())
    known = set(stage_names(family)) - set(uncalibrated_stages(family))
    assert {stage for stages in named.values() for stage in stages} <= known


@pytest.mark.parametrize(("recipe", "tuned"), [("triposr", "triposr"), ("shape_e_image", "image")])
def test_a_model_of_pictures_has_naive_rows_and_its_own(recipe, tuned):
    path = FP32.with_name(f"{recipe}_fp32.yaml")
    found = {row.name: row for row in rows(path)}
    assert list(found) == ["int8_linear", "int8_all", "int8_dynamic", "int4_weights", f"tuned_{tuned}_int8"]
    assert all(isinstance(row, TableRow) for row in found.values())
    assert "image_encoder/*" in {rule.layers for rule in found["int8_all"].recipe.quantization.rules}


def test_a_family_without_stages_in_the_file_has_no_naive_rows(tmp_path, monkeypatch):
    own = tmp_path / "rows.yaml"
    own.write_text(ROWS.read_text().replace("  triposr:\n", "  other:\n"))
    monkeypatch.setattr("validate.table.rows.ROWS", own)
    (row,) = rows(FP32.with_name("triposr_fp32.yaml"), "int8_linear")
    assert isinstance(row, Missing) and "no stages of the family triposr" in row.reason


def test_attention_is_primitive_where_softmax_is_quantized():
    linear, everything = rows(FP32, "int8_all", "int8_linear")
    assert (linear.name, linear.target.opset) == ("int8_linear", CPU.opset)
    assert (everything.name, everything.target.opset) == ("int8_all", 20)
    assert {rule.operator for rule in everything.recipe.quantization.rules} == {
        "linear", "attention", "norm", "activation"
    }  # fmt: skip


def test_no_tolerance_keeps_a_bad_row_from_being_measured():
    (row,) = rows(FP32, "int8_linear")
    assert row.recipe.validation.tolerances["int8"].stage_snr_db < -100


def test_a_recipe_that_quantizes_has_a_row_of_its_own(recipes):
    assert [row.name for row in rows(recipes)][-1] == "own"
    assert all(row.name != "shape_e_fp32" for row in rows(FP32))


def test_what_the_command_line_changes_in_the_recipe_is_in_its_row(recipes):
    changed = "quantization.rules=[{layers: projector/*, precision: int8_dynamic}]"
    assert rows(recipes, overrides=[changed])[-1].recipe.quantization.rules[0].layers == "projector/*"
    (row,) = choose_rows(load_recipe(INT8, ["quantization.smooth=0.25"]), INT8, CPU, ["tuned_int8"])
    assert row.recipe.quantization.smooth == 0.25


def test_only_what_is_asked_for(recipes):
    assert [row.name for row in rows(FP32, "int8_dynamic", "original", str(recipes))] == ["int8_dynamic", "own"]
    assert rows(FP32, "original", "fp32") == []


def test_a_student_brings_its_own_model_and_sampler(recipes):
    few = load_recipe(FP32.with_name("shape_e_few.yaml"))
    (row,) = rows(FP32, "student_4", overrides=["mesh.grid=32"])
    assert (row.recipe.model, row.recipe.sampler) == (few.model, few.sampler)
    assert row.recipe.mesh.grid == 32 and "ddim, 4 steps, guidance 1" in row.note


def test_a_student_has_no_row_beside_another_teacher():
    (row,) = rows(FP32, "student_4", overrides=["model.weights=random:shap-e-mini"])
    assert isinstance(row, Missing) and "distilled from shap-e-mini" in row.reason


def test_a_wrong_name_is_told_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'int8_linear'"):
        rows(FP32, "int8_linaer")


def test_a_recipe_of_ones_own_has_to_be_there():
    with pytest.raises(RecipeError, match="no such file"):
        rows(FP32, "nowhere.yaml")


@pytest.mark.parametrize("more", [{}, {"recipe": "x.yaml", "quantization": {"rules": []}}])
def test_a_row_has_exactly_one_policy(more):
    with pytest.raises(ValueError, match="either a recipe or a quantization section"):
        RowData(name="x", title="x", **more)
