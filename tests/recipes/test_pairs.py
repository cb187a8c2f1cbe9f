"""Shipped recipes with the shipped weights on the targets: built and compared with the original, or refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.manifest import Manifest, read_manifest
from tests.node import CLIENT, node
from tests.recipes.command_line import CommandLine
from tests.recipes.conftest import BUILD, PAIR, PROOF
from tests.recipes.pairs import Pair

pytestmark = pytest.mark.recipes

REFUSED = 2
# All rungs. The judge is sure of each of the first four prompts, so an object that is lost is a fault, and fails any
# recipe's `max_drop`. Pictures, and the error by layer, are for people and decide nothing.
QUICK = ("--objects", "0", "--no-layers", "--workers", "0")
PROMPTS = "4"
# Of models that take pictures it is as sure with these four, among as many captions as the file has.
PICTURES = Path(__file__).with_name("pictures.json")


def test_a_recipe_is_built_and_proved_or_refused(
    pair: Pair, t3export: CommandLine, shared: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(PAIR, [pair.recipe.name, pair.target.name])
    # Builds side by side say nothing about time.
    settings = [word for setting in pair.fewer_steps for word in ("--set", setting)]
    built = t3export(
        "build", f"recipes/{pair.path.name}", "--target", pair.target.name, "--allow", "no-gain", *settings
    )
    record_property(BUILD, built.seconds)
    bundle = t3export.folder / "artifacts" / pair.recipe.name / pair.target.name
    if pair.cell.state != "builds":
        said = " ".join(built.said.split())
        assert built.exit_code == REFUSED, str(built)
        assert pair.target.name in said and not bundle.exists(), str(built)
        if pair.cell.state == "planned":
            assert pair.target.why_planned in said, str(built)
        else:
            assert pair.cell.reasons and all(reason in said for reason in pair.cell.reasons.values()), str(built)
        return
    assert built.exit_code == 0, str(built)
    manifest = read_manifest(bundle)
    is_random = pair.recipe.model.weights.startswith("random:")
    assert manifest.weights.trained == (not is_random) and manifest.target["name"] == pair.target.name
    record_property(PROOF, prove(bundle, manifest, pair, t3export, shared))
    shutil.rmtree(bundle)


def prove(bundle: Path, manifest: Manifest, pair: Pair, t3export: CommandLine, shared: Path) -> float | str:
    """Validate a bundle, where anything here runs it; the seconds, or why it was not validated."""
    target = pair.target
    if target.backend == "onnxruntime-web":
        held = subprocess.run([node(), CLIENT / "verify.js", bundle], capture_output=True, text=True, timeout=600)
        assert held.returncode == 0, held.stdout + held.stderr
    if target.backend != "tensorrt" and target.missing("run"):
        return f"not without {target.missing('run')[0].name}"
    before = shared / "validated" / deciding(manifest)
    if before.exists():
        return f"as {before.read_text(encoding='utf-8')}, by the same programs"
    prompts = PROMPTS if manifest.texts or not manifest.pictures else str(PICTURES)
    # Of objects made in fewer steps the judge is not sure one by one.
    judged = ("--no-quality",) if pair.fewer_steps else ("--prompts", prompts)
    done = t3export(
        "validate",
        str(bundle),
        *judged,
        *QUICK,
        *(("--on", "onnxruntime") if target.backend == "tensorrt" else ()),
    )
    assert done.exit_code == 0, done
    before.parent.mkdir(exist_ok=True)
    before.write_text(target.name, encoding="utf-8")
    return done.seconds


def deciding(manifest: Manifest) -> str:
    """sha256 (hex) of all that decides a verdict: kits for several boards hold the same programs."""
    names = [name for stage in manifest.stages.values() for name in (stage.program, *stage.external_data)]
    programs = {name: manifest.files[name].sha256 for name in names}
    opened = {name: manifest.target[name] for name in ("backend", "session")}
    return hashlib.sha256(json.dumps([manifest.recipe, opened, programs], sort_keys=True).encode()).hexdigest()
