"""Shipped recipes with the shipped weights on the targets: built and held to the reference, or refused with a reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.bundle import read_manifest
from exporter.target import Target
from tests.node import CLIENT, node
from tests.recipes.command_line import Called, CommandLine
from tests.recipes.pairs import Pair

pytestmark = pytest.mark.recipes

# Four prompts that every recipe is sure of: one object that is lost fails any recipe's `max_drop`. Pictures and the
# error by layer are for people, and decide nothing.
QUICK = ("--prompts", "4", "--objects", "0", "--no-layers", "--workers", "0")


def test_a_recipe_is_built_and_proved_or_refused(
    pair: Pair, t3export: CommandLine, shared: Path, record_property: Callable
) -> None:
    expected = pair.cell
    # Two builds side by side say nothing about time.
    built = t3export("build", str(pair.path.relative_to(pair.path.parents[1])), "--target", pair.target.name, "--allow", "no-gain")
    record_property("pair", [pair.recipe.name, pair.target.name])
    record_property("build", built.seconds)
    bundle = t3export.folder / "artifacts" / pair.recipe.name / pair.target.name
    if expected.state != "builds":
        assert built.exit_code == 2, built
        said = " ".join(built.said.split())
        assert all(" ".join(reason.split()) in said for reason in expected.reasons.values()), built
        assert expected.state == "refused" or f"is planned: not built by this version" in said, built
        assert not bundle.exists()
        return
    assert built.exit_code == 0, built
    manifest = read_manifest(bundle)
    assert manifest.weights.trained and manifest.target["name"] == pair.target.name
    assert {stage.precision for stage in manifest.stages.values()} <= pair.recipe.precisions | {pair.target.unquantized}
    where = proof(pair.target)
    if where is None:
        record_property("proof", "does not run here")
    else:
        validated = t3export("validate", str(bundle), *QUICK, *where)
        record_property("proof", validated.seconds)
        assert validated.exit_code == 0, validated
    shutil.rmtree(t3export.folder / "artifacts")


def proof(target: Target) -> tuple[str, ...] | None:
    """How a target's bundles are validated here; None where what runs them is not installed."""
    if target.backend == "tensorrt":
        return ("--on", "onnxruntime")
    return None if target.missing("run") else ()
