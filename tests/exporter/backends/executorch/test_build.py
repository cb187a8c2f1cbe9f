"""One build of a random Shap-E of a few thousand parameters, its stages in three precisions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from exporter.build.build import build
from exporter.errors import BundleError, RecipeError
from exporter.manifest import PERF
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.runtime.sessions.executorch import ExecuTorchSession
from exporter.targets.target import load_target
from exporter.workshop.measured import read_measured
from exporter.workshop.parity import compare
from tests.exporter.build.test_build import recipe_of

RULES = [
    {"layers": "text_encoder/*", "precision": "int8_dynamic"},
    {"layers": "denoiser/*.attn1.to_q", "precision": "int8_dynamic"},
    {"layers": "denoiser/*.attn1.to_out.0", "precision": "int8"},
    {"layers": "projector/*", "precision": "int8"},
]
CALIBRATION = {"prompts": ["a red mug", "a table"], "steps": 2}


@pytest.fixture(scope="module")
def recipe(tiny_folder):
    return recipe_of(tiny_folder, quantization={"rules": RULES, "calibration": CALIBRATION})


@pytest.fixture(scope="module")
def built(recipe, step_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "tiny"
    return build(recipe, load_target("cpu-executorch"), out, cache=step_cache)


@pytest.fixture(scope="module")
def bundle(built):
    return Bundle.open(built.out)


def test_every_output_of_every_program_is_held_to_its_golden(built):
    held = {(p.stage, p.tensor) for p in built.parities}
    assert held == {(name, o.name) for name, stage in built.manifest.stages.items() for o in stage.outputs}
    assert all(p.passed for p in built.parities)
    assert {p.stage: p.precision for p in built.parities} == {
        "text_encoder": "int8_dynamic", "denoiser": "int8_dynamic", "projector": "int8", "field": "fp32",
        "renderer": "fp32",
    }  # fmt: skip
    assert min(p.parity.snr_db for p in built.parities if p.stage == "field") > 100
    assert min(p.parity.snr_db for p in built.parities if p.stage == "renderer") > 75
    assert 20 < min(p.parity.snr_db for p in built.parities if p.stage == "projector") < 60


def test_the_manifest_tells_the_precision_of_every_quantized_layer(built):
    layers = built.manifest.stages["denoiser"].layers
    assert layers == {
        f"denoiser/prior.transformer_blocks.{block}.attn1.{name}": precision
        for block in (0, 1)
        for name, precision in (("to_q", "int8_dynamic"), ("to_out.0", "int8"))
    }


def test_products_go_to_the_delegate_and_that_is_told(built):
    for name in built.manifest.stages:
        told = json.loads((built.out / name / "delegation.json").read_text())
        assert told["delegates"] >= 1
        assert not {"aten.bmm", "aten.linear", "aten.convolution"} & set(told["portable"])
    assert "aten.native_layer_norm" in json.loads((built.out / "denoiser/delegation.json").read_text())["portable"]


def test_its_figures_count_layers_and_delegates(built):
    told = read_measured(built.out, PERF)["stages"]["denoiser"]
    assert told["layers"]["linear"]["int8_dynamic"] == told["layers"]["linear"]["int8"] == 2
    assert told["delegates"] >= 1 and "aten.native_layer_norm" in told["portable"]


def test_every_stage_has_test_cases_and_a_record(built):
    told = json.loads((built.out / "device/test_cases/tolerances.json").read_text())
    assert set(told) == set(built.manifest.stages)
    for name, case in told.items():
        assert case["cases"] == len(built.manifest.goldens[name]) and case["atol"] > 0
        assert f"device/test_cases/{name}.bpte" in built.manifest.files
        assert f"debug/{name}.etrecord" in built.manifest.files


def test_many_objects_points_and_rays_go_through_in_pieces(tiny, recipe, bundle):
    original = tiny.original(recipe)
    context = original.run_program("projector", {"latents": np.tanh(noise(5, (2, 64, 20)))})
    rng = np.random.default_rng(0)
    points = {"points": rng.uniform(-1, 1, (2, 4100, 3)).astype(np.float32)}
    expected, found = (programs.run_program("field", context | points) for programs in (original, bundle))
    assert expected.keys() == found.keys()
    assert all(compare(expected[name], found[name]).snr_db > 90 for name in expected)
    none = {"points": points["points"][:, :0]}
    assert bundle.run_program("field", context | none)["color"].shape == (2, 0, 3)
    rays = np.stack([np.full((2, 130, 3), [0, -4, 0]), rng.normal([0, 4, 0], 0.3, (2, 130, 3))], axis=2)
    drawn = context | {"rays": rays.astype(np.float32)}
    expected, found = (programs.run_program("renderer", drawn)["color"] for programs in (original, bundle))
    assert compare(expected, found).snr_db > 60


def test_a_prompt_becomes_a_mesh(bundle):
    mesh = bundle.generate("a red chair", seed=0)
    again = bundle.generate("a red chair", seed=0)
    assert np.array_equal(mesh.vertices, again.vertices)


def test_the_host_reads_what_its_loop_needs_from_the_program(built):
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(built.out / "denoiser/program.pte")
    assert program.method_names == {"forward", "evaluations", "init_noise_sigma"}
    sampling = built.manifest.stages["denoiser"].sampling
    assert program.load_method("evaluations").execute([]) == [sampling.evaluations]
    assert program.load_method("init_noise_sigma").execute([])[0] == pytest.approx(sampling.init_noise_sigma)
    encoder = Runtime.get().load_program(built.out / "text_encoder/program.pte")
    source = built.manifest.inputs["prompt"]
    assert encoder.method_names == {"forward", "context_length", "pad_id"}
    numbers = [encoder.load_method(name).execute([])[0] for name in ("context_length", "pad_id")]
    assert numbers == [source.length, source.pad_id]
    assert Runtime.get().load_program(built.out / "projector/program.pte").method_names == {"forward"}


def test_an_app_finds_tokens_noise_and_instructions(built):
    assert {"device/README.md", "device/noise.json", "device/tokens.json"} <= set(built.manifest.files)
    source, sampling = built.manifest.inputs["prompt"], built.manifest.stages["denoiser"].sampling
    tokenizer = PromptTokenizer((built.out / source.file).read_bytes(), source.length, source.pad_id)
    tokens = json.loads((built.out / "device/tokens.json").read_text())
    assert list(tokens) == ["prompt"]
    vectors = tokens["prompt"]
    assert len(vectors) > 8 and any(len(vector["prompt"]) > 200 for vector in vectors)
    assert [vector["ids"] for vector in vectors] == tokenizer.encode([v["prompt"] for v in vectors]).tolist()
    first = json.loads((built.out / "device/noise.json").read_text())[0]
    assert first["stage"] == "denoiser" and first["shape"] == [1, *sampling.latents.shape[1:]]
    assert first["first"] == noise(first["seed"], tuple(first["shape"])).ravel()[:16].tolist()
    page = (built.out / "device/README.md").read_text()
    assert f"{sampling.evaluations} times" in page
    assert all(stage.program in page for stage in built.manifest.stages.values())


def test_built_again_everything_comes_from_the_cache(recipe, built, step_cache, tmp_path):
    again = build(recipe, load_target("cpu-executorch"), tmp_path / "again", cache=step_cache)
    assert again.digest == built.digest
    assert all(step.cached for step in again.steps if step.name.startswith("lower"))


def test_a_rule_that_matches_no_layer_names_the_nearest(tiny_folder, step_cache, tmp_path):
    stray = {"layers": "field/network.no_such", "precision": "fp32"}
    recipe = recipe_of(tiny_folder, quantization={"rules": [*RULES, stray], "calibration": CALIBRATION})
    with pytest.raises(RecipeError, match=r"rule 5 \('field/network.no_such'.* matches no layer"):
        build(recipe, load_target("cpu-executorch"), tmp_path / "x", cache=step_cache)


def test_a_program_tells_which_input_it_misses_and_which_does_not_fit(built):
    session = ExecuTorchSession(built.out / "field/program.pte", {})
    with pytest.raises(BundleError, match="the program needs mlp_0_weight"):
        session.run({"points": np.zeros((1, 2, 3), np.float32)})
    shapes = {spec.name: [2 if isinstance(d, str) else d for d in spec.shape] for spec in session.inputs}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(BundleError, match=r"input 'points' has shape \[2, 2, 4\], the program takes \['batch'"):
        session.run(arrays | {"points": np.zeros((2, 2, 4), np.float32)})
