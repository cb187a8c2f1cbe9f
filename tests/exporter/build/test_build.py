"""Whole builds of a random Shap-E of a few thousand parameters."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from exporter.backends.onnxruntime import onnxruntime_backend
from exporter.build.build import build
from exporter.errors import EnvironmentProblem, RecipeError, ValidationFailed
from exporter.families import registry
from exporter.files.cache import Cache
from exporter.graphs.bodies import all_graphs
from exporter.graphs.plain_attention import is_plain_attention
from exporter.graphs.rewrites import Rewritten
from exporter.machine.meter import Silent
from exporter.manifest import NUMERICS, PERF, bundle_digest, read_manifest, require_whole
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.policy import PRECISIONS_LOWEST_FIRST
from exporter.recipe.recipe import Recipe
from exporter.release.gate import require_releasable
from exporter.release.release_errors import NotReleasable
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from exporter.targets.target import load_target
from exporter.workshop.measured import read_measured
from exporter.workshop.parity import compare
from tests.exporter.ball_family import RECIPE as BALLS
from tests.exporter.ball_family import Balls
from validate.bisect.pair import Originals
from validate.bisect.verdicts import failing_rung, search, stages_to_search

# A ray that grazes the surface of a random field takes its samples elsewhere by one rounding, 81 dB on OpenVINO.
FP32 = {
    "stage_snr_db": 75.0,
    "trajectory_snr_db": 90.0,
    "latents_relative_l2": 1e-4,
    "mesh_iou": 0.999,
    "chamfer": 1e-4,
    "render_psnr_db": 50.0,
}
INT8 = FP32 | {"stage_snr_db": 5.0, "latents_relative_l2": 1.0}


def in_int8(*patterns, precision="int8"):
    """Rules for these layers, on a calibration of two prompts."""
    rules = [{"layers": pattern, "precision": precision} for pattern in patterns]
    return {"rules": rules, "calibration": {"prompts": ["a red mug", "a table"], "steps": 2}}


def recipe_of(folder, *, quantization=None, int8=INT8, **sampler):
    settings = {"scheduler": "heun", "steps": 4, "guidance_scale": 3.0} | sampler
    tolerances = dict.fromkeys(PRECISIONS_LOWEST_FIRST, int8) | {"fp32": FP32, "fp16": INT8}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "model": {"family": "shap-e", "weights": str(folder)},
            "sampler": settings,
            "mesh": {"grid": 16},
            "render": {"size": 16, "coarse_samples": 8, "fine_samples": 12},
            "quantization": quantization or {"rules": []},
            "goldens": {"prompts": ["a red chair", "a table"], "seed": 3},
            "validation": {"tolerances": tolerances},
        }
    )


@pytest.fixture(scope="module")
def recipe(tiny_folder):
    return recipe_of(tiny_folder)


@pytest.fixture(scope="module")
def built(recipe, step_cache, tmp_path_factory):
    return build(recipe, load_target("cpu"), tmp_path_factory.mktemp("built") / "tiny", cache=step_cache)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_bundle_equals_the_original(tiny, recipe, built):
    bundle, original = Bundle.open(built.out), tiny.original(recipe)
    assert bundle.pipeline.stages.keys() == original.pipeline.stages.keys()
    requests, unit = [{"prompt": "a blue mug"}, {"prompt": "a tall chair"}], noise(5, (2, 64, 20))
    made, own = original.read(requests), bundle.read(requests)
    assert np.array_equal(made["input_ids"], own["input_ids"])
    made |= original.run_program("text_encoder", made)
    assert compare(made["embedding"], bundle.run_program("text_encoder", made)["embedding"]).snr_db > 90
    made["latents"] = original.sample("denoiser", made, unit)
    assert compare(made["latents"], bundle.sample("denoiser", made, unit)).relative_l2 < 1e-4
    points = np.random.default_rng(0).uniform(-1, 1, (2, 50, 3)).astype(np.float32)
    expected, found = (
        programs.run_program("field", programs.run_program("projector", made) | {"points": points})
        for programs in (original, bundle)
    )
    assert expected.keys() == found.keys()
    assert all(compare(expected[name], found[name]).snr_db > 90 for name in expected)


def test_the_manifest_is_the_models_pipeline_with_its_samplers_filled_in(tiny, recipe, built):
    pipeline, manifest = tiny.pipeline(recipe), built.manifest
    manifest.require_sound()
    assert (manifest.inputs, manifest.assets) == (pipeline.inputs, pipeline.assets)
    assert manifest.samplings.keys() == {"denoiser"} and list(manifest.stages) == list(pipeline.stages)
    for name, stage in pipeline.stages.items():
        own = manifest.stages[name]
        assert (own.kind, own.takes, own.makes, own.volume) == (stage.kind, stage.takes, stage.makes, stage.volume)
    sampling = manifest.samplings["denoiser"]
    assert (sampling.scheduler, sampling.steps, sampling.evaluations, sampling.unroll) == ("heun", 4, 7, "step")
    table = json.loads((built.out / sampling.table).read_text())
    assert sampling.init_noise_sigma == table["init_noise_sigma"] and len(table["timesteps"]) == sampling.evaluations


def test_every_output_of_every_program_is_held_to_its_golden(built):
    held = {(p.stage, p.tensor) for p in built.parities}
    assert held == {(name, o.name) for name, stage in built.manifest.stages.items() for o in stage.outputs}
    assert all(p.passed and p.parity.snr_db > 90 for p in built.parities)
    assert [p.golden for p in built.parities if p.tensor == "next_sample"][:2] == [
        "denoiser_000.npz",
        "denoiser_001.npz",
    ]


def test_times_and_memory_of_every_step_are_told(built):
    names = [step.name for step in built.steps]
    assert names[:3] == ["load weights", "record goldens", "trace text_encoder"]
    assert {"trace denoiser", "compile field", "check renderer", "write bundle"} <= set(names)
    assert all(step.seconds > 0 and step.peak_bytes > 1e7 for step in built.steps)


def test_what_it_costs_and_how_exact_it_is_stands_in_the_bundle(built):
    costs, checks = (read_measured(built.out, name) for name in (PERF, NUMERICS))
    assert {PERF, NUMERICS} <= set(built.manifest.files)
    assert costs["digest"] == checks["digest"] == built.digest and "missing" not in costs
    assert costs["stages"]["denoiser"]["operators"]["MatMul"].keys() == {"fp32"}
    [cost], [check] = costs["measured"], checks["measured"]
    assert set(cost["stages"]) == set(check["stages"]) == set(built.manifest.stages)
    assert cost["peak_bytes"] > 2**24 and "onnxruntime" in cost["where"]
    assert all(stage["passed"] and stage["wanted_snr_db"] == FP32["stage_snr_db"] for stage in check["stages"].values())


def test_built_again_it_has_the_same_digest_and_runs_no_step_twice(recipe, built, step_cache, tmp_path):
    again = build(recipe, load_target("cpu"), tmp_path / "again", cache=step_cache)
    assert again.digest == built.digest == bundle_digest(read_manifest(built.out))
    # Times differ from run to run: they stand in perf.yaml, whose digest the manifest has.
    first, second = (files(report.out) for report in (built, again))
    assert {name for name in first if first[name] != second[name]} <= {PERF, "manifest.json"}
    assert first.keys() == second.keys()
    heavy = [step for step in again.steps if step.name.split()[0] in ("record", "trace", "compile")]
    assert len(heavy) == 11 and all(step.cached for step in heavy)


def test_a_bundle_is_no_part_of_the_cache(recipe, built, step_cache, tmp_path):
    first = build(recipe, load_target("cpu"), tmp_path / "first", cache=step_cache)
    program = first.out / "field" / "program.onnx"
    program.write_bytes(b"damaged")
    assert build(recipe, load_target("cpu"), tmp_path / "second", cache=step_cache).digest == built.digest


def test_without_a_cache_it_has_the_same_digest(recipe, built, tmp_path):
    with Cache.none(tmp_path) as empty:
        assert build(recipe, load_target("cpu"), tmp_path / "fresh", cache=empty).digest == built.digest


class KilledAfter(Silent):
    """Kills its own process at the end of the nth step of a build."""

    def __init__(self, steps):
        self.left = steps

    def finished(self, record):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_killed_at_any_moment_the_former_bundle_is_usable(recipe, step_cache, tmp_path):
    out = tmp_path / "tiny"
    former = build(recipe, load_target("cpu"), out, cache=step_cache)
    for steps in range(1, len(former.steps) + 2):
        child = os.fork()
        if child == 0:
            build(recipe, load_target("cpu"), out, cache=step_cache, progress=KilledAfter(steps))
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert killed == (steps <= len(former.steps))
        assert bundle_digest(require_whole(out)) == former.digest
    build(recipe, load_target("cpu"), out, cache=step_cache)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_the_bundle_makes_a_mesh_without_torch(built):
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from exporter.runtime.bundle import Bundle\n"
        f"bundle = Bundle.open({str(built.out)!r})\n"
        "bundle.generate('a red chair', seed=0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3], timeout=120)


def test_a_program_that_misses_its_golden_leaves_the_former_bundle(tiny_folder, recipe, step_cache, tmp_path):
    out = tmp_path / "tiny"
    former = build(recipe, load_target("cpu"), out, cache=step_cache)
    strict = recipe_of(tiny_folder, quantization=in_int8("projector/*"), int8=FP32)
    with pytest.raises(
        ValidationFailed, match=r"stage 'projector' \(int8\) misses its golden projector_000.npz: output"
    ):
        build(strict, load_target("cpu"), out, cache=step_cache)
    assert bundle_digest(require_whole(out)) == former.digest


def test_a_program_that_misses_its_golden_is_kept_aside_for_bisect(tiny_folder, recipe, step_cache, tmp_path):
    out, aside = tmp_path / "tiny", tmp_path / "failed" / "tiny"
    strict = recipe_of(tiny_folder, quantization=in_int8("projector/*"), int8=FP32)
    for _ in range(2):
        with pytest.raises(ValidationFailed, match=f"`t3export bisect {re.escape(str(aside))}`"):
            build(strict, load_target("cpu"), out, cache=step_cache)
    assert not out.exists() and [path.name for path in tmp_path.iterdir()] == ["failed"]
    originals = Originals.open(aside, step_cache, Silent())
    findings = search(
        originals, stages_to_search(originals.manifest, failing_rung(aside), None), None, lambda told: None
    )
    assert findings[-1].culprit.tensor.startswith("projector/")
    with pytest.raises(NotReleasable, match=r"its build failed \(FAILED.txt says why\)"):
        require_releasable([aside])
    build(recipe, load_target("cpu"), out, cache=step_cache)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_what_misses_its_proof_is_kept_aside_and_a_folder_of_other_things_is_not_touched(recipe, step_cache, tmp_path):
    def prove(folder):
        raise ValidationFailed("rung 'shape' fails")

    out, aside = tmp_path / "tiny", tmp_path / "failed" / "tiny"
    with pytest.raises(ValidationFailed, match=r"rung 'shape' fails\. `t3export bisect"):
        build(recipe, load_target("cpu"), out, cache=step_cache, prove=prove)
    require_whole(aside)
    (aside / "FAILED.txt").unlink()
    with pytest.raises(ValidationFailed, match=r"could not be kept: .*no build put it there"):
        build(recipe, load_target("cpu"), out, cache=step_cache, prove=prove)
    build(recipe, load_target("cpu"), out, cache=step_cache)
    assert aside.is_dir()


def test_a_full_disk_is_told_and_leaves_the_former_bundle(recipe, step_cache, tmp_path, monkeypatch):
    out = tmp_path / "tiny"
    former = build(recipe, load_target("cpu"), out, cache=step_cache)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("exporter.build.assemble.shutil.copyfile", full)
    with pytest.raises(EnvironmentProblem, match=r"the disk is full .*cache prune"):
        build(recipe, load_target("cpu"), out, cache=step_cache)
    assert bundle_digest(require_whole(out)) == former.digest
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize("unroll", ["loop", "full"])
def test_quantized_and_unrolled(tiny_folder, built, step_cache, tmp_path, unroll):
    recipe = recipe_of(tiny_folder, quantization=in_int8("text_encoder/*", "denoiser/*", "projector/*"), unroll=unroll)
    report = build(recipe, load_target("cpu"), tmp_path / "int8", cache=step_cache)
    stages = report.manifest.stages
    assert {name: stage.precision for name, stage in stages.items()} == {
        "text_encoder": "int8", "denoiser": "int8", "projector": "int8", "field": "fp32", "renderer": "fp32"
    }  # fmt: skip
    assert stages["projector"].size < 0.45 * built.manifest.stages["projector"].size
    bundle = Bundle.open(report.out)
    assert stages["denoiser"].is_whole_sampler and [spec.name for spec in stages["denoiser"].outputs] == ["latents"]
    assert bundle.make({"prompt": "a table"})["latents"].shape == (1, 64, 20)
    goldens = [step for step in report.steps if step.name == "record goldens"]
    assert not goldens[0].cached or unroll == "full"


@pytest.mark.parametrize(("unroll", "copies"), [("step", 1), ("loop", 1), ("full", 7)])
def test_attention_is_rewritten_inside_a_whole_sampler_too(tiny_folder, step_cache, tmp_path, unroll, copies):
    report = build(recipe_of(tiny_folder, unroll=unroll), load_target("cpu"), tmp_path / unroll, cache=step_cache)
    graphs = all_graphs(onnx.load(report.out / "denoiser" / "program.onnx").graph)
    kinds = Counter(node.op_type for graph in graphs for node in graph.node)
    assert (kinds["Attention"], kinds["MultiHeadAttention"]) == (0, 2 * copies)
    wanted = f"to_multi_head_attention rewrote {2 * copies} of {2 * copies} Attention"
    assert list(map(str, report.rewrites["denoiser"])) == [wanted] and report.warnings == []


def test_a_pass_that_rewrites_none_of_a_stages_attention_is_a_warning(tiny_folder, tmp_path, monkeypatch):
    def blind(model):
        nodes = [node for node in model.graph.node if is_plain_attention(node)]
        return Rewritten("Attention", 0, len(nodes))

    monkeypatch.setattr(onnxruntime_backend, "to_multi_head_attention", blind)
    with Cache.none(tmp_path) as empty:
        report = build(recipe_of(tiny_folder), load_target("cpu"), tmp_path / "blind", cache=empty)
    [warning] = report.warnings
    assert warning.startswith("stage 'denoiser': blind rewrote 0 of 2 Attention")


def test_the_manifest_tells_the_precision_of_every_quantized_layer(tiny_folder, built, step_cache, tmp_path):
    quantization = in_int8("denoiser/*.attn1.*", precision="int8_dynamic")
    stages = build(
        recipe_of(tiny_folder, quantization=quantization), load_target("cpu"), tmp_path / "x", cache=step_cache
    )
    layers = stages.manifest.stages["denoiser"].layers
    assert set(layers.values()) == {"int8_dynamic"}
    assert "denoiser/prior.transformer_blocks.0.attn1.to_q" in layers and len(layers) == 8
    assert stages.manifest.stages["text_encoder"] == built.manifest.stages["text_encoder"]


def test_a_target_in_half_precision_halves_the_networks(tiny_folder, built, step_cache, tmp_path):
    half = load_target("cpu").model_copy(update={"rendering": "fp16", "opset": 20})
    report = build(recipe_of(tiny_folder), half, tmp_path / "half", cache=step_cache, need_gain=False)
    stages = report.manifest.stages
    assert {stage.precision for stage in stages.values()} == {"fp16"}
    assert stages["denoiser"].size < 0.7 * built.manifest.stages["denoiser"].size
    worst = min(p.parity.snr_db for p in report.parities if p.precision == "fp16")
    assert 40 < worst < 90
    quantized = recipe_of(tiny_folder, quantization=in_int8("text_encoder/*.mlp.*"))
    with pytest.raises(ValidationFailed, match="leaves 4 of 4 quantized products in floating point"):
        build(quantized, half, tmp_path / "half", cache=step_cache)


@pytest.mark.parametrize("target", ["arm64", "web"])
def test_targets_on_onnxruntime_share_their_programs(recipe, built, step_cache, tmp_path, target):
    report = build(recipe, load_target(target), tmp_path / target, cache=step_cache)
    programs = {stage.program for stage in built.manifest.stages.values()}
    if target == "web":  # its runtime is given the standard's attention
        programs.remove("denoiser/program.onnx")
    assert {name: report.manifest.files[name] for name in programs} == {
        name: built.manifest.files[name] for name in programs
    }
    beside = {name.split("/")[0] for name in set(report.manifest.files) - set(built.manifest.files)}
    assert beside == ({"client"} if target == "web" else set())
    assert report.manifest.target == load_target(target).model_dump(mode="json")
    mesh = Bundle.open(report.out).generate("a red chair")
    apart = np.abs(mesh.vertices - Bundle.open(built.out).generate("a red chair").vertices)
    # Where a random field grazes its level, what another attention rounds moves a vertex further.
    assert np.quantile(apart, 0.999) < 1e-4 and apart.max() < 2e-3


class Heard(Silent):
    """Keeps the names of the steps that begin."""

    def __init__(self):
        self.steps = []

    def started(self, step):
        self.steps.append(step)


def test_a_rule_that_matches_no_layer_is_refused_before_anything_is_made(tiny_folder, step_cache, tmp_path):
    recipe, heard = recipe_of(tiny_folder, quantization=in_int8("denoiser/*.attn1.to_w")), Heard()
    with pytest.raises(RecipeError, match=r"attn1.to_w.*matches no layer; the nearest of \d+: denoiser/.*attn1\.to_"):
        build(recipe, load_target("cpu"), tmp_path / "x", cache=step_cache, progress=heard)
    assert heard.steps == ["load weights"] and list(tmp_path.iterdir()) == []


def test_a_rule_that_matches_no_table_is_refused_when_all_is_traced(tiny_folder, step_cache, tmp_path):
    rule = {"layers": "denoiser/prior.positions", "operator": "table", "precision": "fp16"}
    with pytest.raises(RecipeError, match=r"positions.*matches no layer; the nearest of 1: denoiser/.*:constant"):
        build(
            recipe_of(tiny_folder, quantization={"rules": [rule]}), load_target("cpu"), tmp_path / "x", cache=step_cache
        )
    assert list(tmp_path.iterdir()) == []


def test_a_planned_target_and_a_missing_precision_are_refused(tiny_folder, recipe, tmp_path):
    planned = load_target("cpu").model_copy(update={"status": "planned"})
    with pytest.raises(RecipeError, match="planned"):
        build(recipe, planned, tmp_path / "x")
    only_fp32 = load_target("cpu").model_copy(update={"precisions": ["fp32"]})
    with pytest.raises(RecipeError, match="int8, which target 'cpu' lacks"):
        build(recipe_of(tiny_folder, quantization=in_int8("denoiser/*")), only_fp32, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


class Misnamed(Balls):
    """Balls whose field takes what no stage makes."""

    def pipeline(self, recipe):
        return with_field_input(super().pipeline(recipe), TensorSpec("latnets", "float32", ("batch", 1, 4)))


class Flickering(Balls):
    """Balls whose field has a dynamic dimension that nothing is known of."""

    def pipeline(self, recipe):
        return with_field_input(super().pipeline(recipe), TensorSpec("latents", "float32", ("batch", "frames", 4)))


def with_field_input(pipeline, spec):
    field = pipeline.stages["field"]
    changed = field.model_copy(update={"inputs": [field.inputs[0], spec]})
    return pipeline.model_copy(update={"stages": pipeline.stages | {"field": changed}})


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (Misnamed, "stage 'field' takes 'latnets'; .*did you mean 'latents'"),
        (Flickering, "stage 'field': 'latents' has a size 'frames'; known are batch, points, rays"),
    ],
)
@pytest.mark.parametrize("target", ["cpu", "orin", "cpu-executorch"])
def test_a_pipeline_that_does_not_hang_together_is_refused_before_anything_is_made(
    family, message, target, step_cache, tmp_path, monkeypatch
):
    monkeypatch.setitem(registry._loaders, "balls", family)
    recipe, heard = Recipe.model_validate(BALLS | {"validation": {"tolerances": {"fp32": FP32, "fp16": FP32}}}), Heard()
    with pytest.raises(RecipeError, match=message):
        build(recipe, load_target(target), tmp_path / "x", cache=step_cache, progress=heard)
    assert heard.steps == ["load weights"] and list(tmp_path.iterdir()) == []
