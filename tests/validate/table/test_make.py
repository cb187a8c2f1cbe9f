"""Whole tables of the toy model, its builds replaced by copies of one bundle, some of them broken."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.errors import RecipeError, ValidationFailed
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import read_manifest
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import RECIPE, break_program, prove, toy_family
from validate.bench.fresh import Fresh
from validate.judge.judge_errors import PromptsError
from validate.table import bench, make, rows
from validate.table.make import TableSettings, make_table
from validate.table.table_result import Fidelity

BUILT = {"fp32": None, "int8_linear": ("denoiser", "coefficients", 1.2), "int8_dynamic": ("text_encoder", "table", 0.9)}


@pytest.fixture(scope="module")
def proved(tmp_path_factory):
    return prove(write_toy_bundle(tmp_path_factory.mktemp("proved") / "bundle"))


@pytest.fixture
def runs(proved, monkeypatch, tmp_path):
    """Builds and measurements faked; gives the names of what was built and measured."""
    seen = SimpleNamespace(bundle=proved, built=[], peaks=0)

    def build(recipe, target, out, *, cache, progress, need_gain=True):
        name = recipe.name.removeprefix("table_")
        seen.built.append((name, target.opset))
        if name not in BUILT:
            raise ValidationFailed(f"{name} does not multiply in integers")
        shutil.copytree(seen.bundle, out, dirs_exist_ok=True)
        if BUILT[name]:
            break_program(out, *BUILT[name])
        return SimpleNamespace(manifest=read_manifest(out))

    def fresh(order):
        seen.peaks += 1
        return Fresh(load_seconds=1.0, seconds=1.0, loaded_bytes=500_000, peak_bytes=1_000_000)

    own = tmp_path / "rows.yaml"  # of a family with the toy's stages
    own.write_text(rows.ROWS.read_text(encoding="utf-8").replace("  shap-e:\n", "  toy:\n"), encoding="utf-8")
    monkeypatch.setattr(rows, "ROWS", own)
    monkeypatch.setattr(make, "build", build)
    monkeypatch.setattr(bench, "fresh", fresh)
    monkeypatch.setattr(bench, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(bench, "OBJECT_SECONDS", 0.0)
    with toy_family(proved, pipeline=Bundle.open(proved).pipeline):
        yield seen


@pytest.fixture
def table_of(tmp_path, clip_folder):
    captions = tmp_path / "captions.txt"
    captions.write_text("a red ball\na green ball\na blue ball\n")
    recipe = Recipe.model_validate(RECIPE | {"mesh": {"grid": 24}})
    recipe_path = tmp_path / "toy.yaml"

    def run(*rows, on_row=lambda row, done, total: None, **settings):
        chosen = TableSettings(rows=rows, prompts=captions, evaluator=clip_folder, threads=1)
        return make_table(
            recipe_path,
            recipe,
            load_target("cpu"),
            replace(chosen, **settings),
            tmp_path / "bundles",
            cache=Cache(tmp_path / "cache"),
            progress=Silent(),
            on_row=on_row,
        )

    return run


def test_rows_come_in_order_with_all_their_figures(runs, table_of, tmp_path):
    table = table_of("int8_dynamic", "int8_linear")
    assert [row.name for row in table.rows] == ["original", "fp32", "int8_linear", "int8_dynamic"]
    original, exact, *_ = table.rows
    assert original.rate.p_value is None and original.fidelity is None and original.stored_bytes is None
    assert exact.rate.percent == original.rate.percent and exact.rate.p_value == 1.0
    assert replace(exact.fidelity, chamfer=0.0) == Fidelity(float("inf"), float("inf"), 0.0, 0.0)
    assert exact.fidelity.chamfer < 1e-9
    stages = read_manifest(tmp_path / "bundles" / "fp32").stages
    assert exact.stored_bytes == sum(stage.size for stage in stages.values())
    assert all(row.step.ratio > 0 and row.end_to_end.rounds == 3 and row.peak_bytes == 1_000_000 for row in table.rows)


def test_each_measure_sees_the_stage_it_is_about(runs, table_of):
    *_, denoiser, words = table_of("int8_linear", "int8_dynamic").rows
    assert denoiser.fidelity.snr_worst_db == float("inf") and denoiser.fidelity.latents_relative_l2 > 0
    assert words.fidelity.snr_worst_db == float("inf") and words.fidelity.latents_relative_l2 > 0.05
    assert words.fidelity.chamfer > 0.05


def test_what_was_measured_is_not_measured_again(runs, table_of):
    first = table_of("int8_linear")
    assert runs.peaks == 3
    assert table_of("int8_linear", "int8_dynamic").rows[:3] == first.rows
    assert runs.peaks == 4
    table_of("int8_linear", seeds=3)
    assert runs.peaks == 7


def test_an_interrupted_table_goes_on_where_it_was(runs, table_of):
    def interrupt(row, done, total):
        if row.name == "fp32":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table_of("int8_linear", on_row=interrupt)
    assert runs.peaks == 2
    assert len(table_of("int8_linear").rows) == 3 and runs.peaks == 3


def test_a_row_that_cannot_be_built_says_why_and_the_others_go_on(runs, table_of):
    seen, counts = [], []

    def told(row, done, total):
        seen.append(row)
        counts.append((done, total))

    table = table_of("int8_all", "int8_dynamic", "tuned_tiny", on_row=told)
    assert counts == [(number, 5) for number in range(1, 6)]
    reasons = {row.name: row.reason for row in table.rows}
    assert reasons["int8_all"] == "int8_all does not multiply in integers"
    assert "shape_e_tiny.yaml: no such file" in reasons["tuned_tiny"]
    assert reasons["int8_dynamic"] == "" and table.rows == seen
    assert ("int8_all", 20) in runs.built and ("int8_dynamic", 23) in runs.built


def test_nothing_is_said_about_the_quality_of_random_weights(tmp_path, runs, table_of):
    runs.bundle = prove(write_toy_bundle(tmp_path / "random"), trained=False)
    table = table_of("int8_linear")
    assert not table.trained and all(row.rate is None and row.step for row in table.rows)
    assert "prompts" not in table.settings and table.rows[2].fidelity


def test_wrong_input_is_told_before_anything_is_built(runs, table_of):
    with pytest.raises(RecipeError, match="did you mean"):
        table_of("int8_liner")
    with pytest.raises(PromptsError):
        table_of(prompts=Path("absent.txt"))
    assert runs.built == []
