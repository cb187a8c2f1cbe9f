from __future__ import annotations

import subprocess
import sys
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import BundleError, EnvironmentProblem, RecipeError
from exporter.pipeline.assets import ImageAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime import batch
from exporter.runtime.assets.pictures import rendered_picture
from exporter.runtime.batch import batch_size, made_objects
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from exporter.runtime.run import requests_of
from exporter.runtime.sessions import onnxruntime as backend
from exporter.runtime.sessions.session import open_session
from tests.little_memory import open_with_little_memory
from tests.toy_bundle import write_toy_bundle

BLOCKED = {"torch", "diffusers", "transformers", "onnx", "onnxscript", "safetensors", "scipy", "skimage"}


def test_a_prompt_becomes_its_ball(toy_bundle):
    mesh = Bundle.open(toy_bundle).generate("a red ball", seed=3)
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert radius.mean() == pytest.approx(0.5, abs=0.01)
    assert mesh.colors.mean(axis=0) == pytest.approx([1.0, 0.0, 0.0], abs=0.01)


def test_same_seed_same_mesh_other_seed_other_mesh(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    first, again, other = (bundle.generate("a red ball", seed=seed).vertices for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_quality_stands_for_a_grid(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    named, given = bundle.generate("a red ball", quality="draft"), bundle.generate("a red ball", grid=64)
    assert np.array_equal(named.vertices, given.vertices)
    for grid in (np.int64(64), np.uint8(64)):
        assert np.array_equal(bundle.generate("a red ball", grid=grid).vertices, given.vertices)


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": ""},
        {"prompt": None},
        {"seed": 1.5},
        {"seed": 2**64},
        {"seed": None},
        {"grid": 24.5},
        {"grid": 1},
        {"quality": "ultra"},
        {"grid": 64, "quality": "draft"},
        {"exact": "no"},
    ],
)
def test_what_is_not_taken_is_refused_by_name_before_anything_runs(toy_bundle, monkeypatch, given):
    monkeypatch.setattr(Bundle, "session", lambda *_: pytest.fail("a program was opened"))
    with pytest.raises(RecipeError, match=f"^{list(given)[-1]}: "):
        Bundle.open(toy_bundle).generate(**{"prompt": "a red ball", **given})


def test_a_mesh_of_given_latents_is_refused_the_same_grids(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    with pytest.raises(RecipeError, match="grid: a whole number from 8 to 512 is expected, not 7"):
        bundle.mesh(np.zeros((1, 2, 4), np.float32), grid=7)


def test_steps_are_told_as_they_went_in(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    seen = []
    start = noise(0, (1, 2, 4))
    latents = bundle.make({"prompt": "a red ball"}, 0, lambda *step: seen.append(step))["latents"]
    assert [index for index, _, _ in seen] == [0, 1, 2]
    assert np.array_equal(seen[0][1], start * np.float32(2.0))
    assert np.allclose(seen[1][1], 0.5 * seen[0][1] + 0.5 * seen[0][2])
    assert np.array_equal(latents, seen[2][2])


def test_the_whole_loop_in_one_program(tmp_path):
    bundle = Bundle.open(write_toy_bundle(tmp_path / "bundle", unroll="full"))
    assert not bundle.generate("a blue ball").is_empty
    assert bundle.pipeline.asset(ImageAsset) is None
    with pytest.raises(RecipeError, match="makes no image; it makes mesh"):
        rendered_picture(bundle.make({"prompt": "a blue ball"}), 16)


def test_a_batch_gives_what_single_prompts_give(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    prompts = ["a red ball", "a blue ball", "green"] * 12
    moved = []
    seeds = [5] * 30 + [6] * 6
    together = list(made_objects(bundle, requests_of(bundle.pipeline, prompts), seeds, moved.append))
    assert len(together) == 36
    assert sum(moved) == 36 * 3 and max(moved) == 16
    for index in (0, 17, 35):
        alone = bundle.make({"prompt": prompts[index]}, seeds[index])
        assert np.allclose(together[index]["latents"], alone["latents"], atol=1e-6)
    assert not np.array_equal(together[0]["latents"], together[33]["latents"]), "another seed"


def test_of_large_objects_texts_are_encoded_sixteen_at_once_all_the_same(toy_bundle, monkeypatch):
    """At full size one object is sampled at a time: its encoder would be opened, and run, for each of them."""
    bundle, calls, opened = open_with_little_memory(toy_bundle, monkeypatch)
    monkeypatch.setattr(batch, "NUMBERS_AT_ONCE", 1)
    prompts = [" ".join(pair) for pair in product(("red", "green", "blue", "ball", "a"), repeat=2)][:18]
    moved = []
    made = made_objects(bundle, requests_of(bundle.pipeline, prompts), range(18), moved.append)
    latents = [run["latents"] for run in made]
    assert moved == [1] * 18 * 3, "evaluations of one object each"
    encoded = [rows for stage, rows in calls if stage == "text_encoder"]
    assert len(encoded) == opened.count("text_encoder") == 2 and max(encoded) <= 16
    assert opened.count("denoiser") == 2
    alone = bundle.make({"prompt": prompts[17]}, 17)
    assert np.allclose(latents[17], alone["latents"], atol=1e-6)


def sampled(*shapes):
    """A pipeline that samples latents of these shapes, one from the other."""
    stages, before = {}, TensorSpec("tokens", "int64", ("batch", 3))
    for number, shape in enumerate(shapes):
        latents = TensorSpec(f"latents_{number}", "float32", ("batch", *shape))
        stages[f"sampler_{number}"] = PipelineStage(kind="sample", inputs=[before], outputs=[latents])
        before = latents
    prompt = TextInput(tensor="tokens", file="tokenizer.json", length=3, pad_id=0)
    return Pipeline(inputs={"prompt": prompt}, stages=stages, assets={})


def test_full_size_objects_are_sampled_one_at_a_time():
    assert batch_size(sampled((1024, 1024))) == 1
    assert batch_size(sampled((64, 32))) == batch_size(sampled()) == 16
    assert batch_size(sampled((64, 32), (4, 512, 256))) == 2, "the largest of a pipeline's latents decides"


def test_a_long_prompt_is_cut_and_said_so(toy_bundle):
    with pytest.warns(UserWarning, match="blue green"):
        Bundle.open(toy_bundle).generate("a red ball a blue green")


def test_a_fitting_prompt_is_not_complained_about(toy_bundle):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Bundle.open(toy_bundle).generate("a red ball a")


def test_an_empty_field_is_an_empty_mesh(toy_bundle):
    assert Bundle.open(toy_bundle).generate("nothing").is_empty


@pytest.mark.parametrize("name", ["denoiser.onnx", "tokenizer/tokenizer.json", "samplers/denoiser.json"])
def test_a_flipped_byte_is_found_and_its_file_named(own_bundle, name):
    path = own_bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=name):
        Bundle.open(own_bundle)


def test_a_missing_stage_names_those_there_are(toy_bundle):
    with pytest.raises(BundleError, match="no stage 'sampler'; it has denoiser, field"):
        Bundle.open(toy_bundle).session("sampler")


def test_a_program_tells_which_input_it_misses(toy_bundle):
    with pytest.raises(BundleError, match="the program needs radius, paint"):
        Bundle.open(toy_bundle).run_program("field", {"points": np.zeros((1, 2, 3), np.float32)})


def test_a_program_for_another_device_is_refused(toy_bundle):
    with pytest.raises(BundleError, match="qnn"):
        open_session("qnn", toy_bundle / "field.onnx", {})


def test_a_broken_program_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"not a program")
    with pytest.raises(BundleError, match=r"x\.onnx"):
        open_session("onnxruntime", tmp_path / "x.onnx", {})


def test_falling_back_to_another_processor_is_an_error(toy_bundle):
    options = {"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
    with pytest.raises(EnvironmentProblem, match="fell back to CPUExecutionProvider"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_session("onnxruntime", toy_bundle / "field.onnx", options)


@pytest.mark.parametrize(
    ("installed", "message"), [(["onnxruntime", "onnxruntime-gpu"], "both installed"), ([], "not installed")]
)
def test_exactly_one_runtime_may_be_installed(monkeypatch, toy_bundle, installed, message):
    monkeypatch.setattr(backend, "installed_distributions", lambda: installed)
    with pytest.raises(EnvironmentProblem, match=message):
        open_session("onnxruntime", toy_bundle / "field.onnx", {})


def test_the_runtime_never_imports_torch(toy_bundle, tmp_path):
    """Nor any other package of the build: the base install has none of them."""
    code = f"""
import sys
for name in {sorted(BLOCKED)}: sys.modules[name] = None
import t3export
from exporter.runtime.assets import cameras
from pathlib import Path
from exporter.runtime.assets import meshfile
from exporter.runtime.assets import pictures
bundle = t3export.Bundle.open({str(toy_bundle)!r})
mesh = bundle.generate("a red ball", seed=0).mesh
pictures.turntable_gif(mesh, 32, 2), meshfile.save_mesh(mesh, Path({str(tmp_path / "ball.glb")!r}))
pictures.rendered_picture(bundle.make({{"prompt": "a red ball"}}), 8)
print(len(mesh.faces))
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert int(done.stdout) > 100


def test_programs_make_room_for_one_another_under_a_limit(toy_bundle, monkeypatch):
    """The toy's programs told as 40 MB each: two fit into 100."""
    manifest = Bundle.open(toy_bundle).manifest
    stages = {name: stage.model_copy(update={"size": 40_000_000}) for name, stage in manifest.stages.items()}
    large = manifest.model_copy(update={"stages": stages})
    limited = Bundle(toy_bundle, large, memory_limit_mb=100)
    limited.make({"prompt": "a red ball"})["embedding"]
    limited.session("denoiser")
    limited.make({"prompt": "a blue ball"})["embedding"]
    limited.session("field")
    assert list(limited._sessions) == ["text_encoder", "field"]
    free = Bundle(toy_bundle, large)
    assert np.array_equal(limited.generate("a red ball").vertices, free.generate("a red ball").vertices)
    assert len(limited._sessions) == 2 and len(free._sessions) == 4


def test_the_limit_is_the_recipes_unless_another_is_given(toy_bundle):
    manifest = Bundle.open(toy_bundle).manifest
    stages = {name: stage.model_copy(update={"size": 40_000_000}) for name, stage in manifest.stages.items()}
    strict = manifest.model_copy(update={"stages": stages, "recipe": manifest.recipe | {"memory_limit_mb": 39}})
    with pytest.raises(BundleError, match=r"limit of 39 MB cannot be held, .* alone takes 40 MB"):
        Bundle(toy_bundle, strict)
    assert Bundle(toy_bundle, strict, memory_limit_mb=40).generate("a red ball")


def test_only_the_stages_of_the_target_are_packed(toy_bundle, monkeypatch):
    packed = {}
    opened = backend.OnnxRuntimeSession.__init__

    def watch(self, program, options):
        packed[program.stem] = options["packed"]
        opened(self, program, options)

    monkeypatch.setattr(backend.OnnxRuntimeSession, "__init__", watch)
    Bundle.open(toy_bundle).generate("a red ball")
    assert packed == {"text_encoder": False, "denoiser": True, "projector": False, "field": True}
