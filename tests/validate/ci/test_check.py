from __future__ import annotations

from pathlib import Path

import pytest

from exporter.recipe.recipe_file import load_recipe
from exporter.targets.target import load_target
from validate.ci.baseline import Baseline
from validate.ci.check import check
from validate.ci.measure_pair import How, RecipeOnTarget
from validate.prove import Options

RECIPE = Path(__file__).parents[3] / "recipes" / "shape_e_fp32.yaml"


@pytest.mark.parametrize("lack", [MemoryError(), OSError(28, "No space left on device")], ids=["memory", "disk"])
def test_what_this_machine_lacks_is_not_run(tmp_path, monkeypatch, lack):
    def measure(*given):
        raise lack

    monkeypatch.setattr("validate.ci.check.measure", measure)
    pair = RecipeOnTarget(load_recipe(RECIPE), load_target("cpu"), tmp_path)
    (finding,) = check(pair, Baseline(), How(Options())).findings
    assert finding.status == "not run" and finding.text
