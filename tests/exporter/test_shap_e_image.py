"""A picture to a mesh with Shap-E: built for every backend, equal to diffusers' pipeline, run from the command line."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
import torch
from diffusers import ShapEImg2ImgPipeline
from PIL import Image

from exporter.build.build import build
from exporter.errors import RecipeError
from exporter.families.registry import load_model
from exporter.files.cache import Cache
from exporter.manifest import read_manifest
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from exporter.runtime.run import Run
from exporter.sampling.table import table_of
from exporter.targets.target import load_target
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from t3export.cli import run
from tests.exporter.backend_cases import BACKEND_CASES
from tests.exporter.tiny import pure_module
from tests.exporter.tiny_image import image_recipe, write_pictures, write_tiny_shap_e_image
from tests.node import run_node
from tests.told import told
from validate.prove import Options, validate_bundle

INT8 = [{"layers": f"{stage}/*", "precision": "int8"} for stage in ("image_encoder", "denoiser")]
MESH = """
import { meshOf, WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given.bundle);
const picture = { data: Uint8ClampedArray.from(given.data), width: given.width, height: given.height };
const run = bundle.make({ picture }, { seed: 5 });
const latents = await run.tensor("latents");
const mesh = await meshOf(run);
tell({ latents: [...latents.data], vertices: mesh.vertices.length / 3,
       verified: (await verify(bundle)).every(({ passed }) => passed) });
"""  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shap_e_image")


@pytest.fixture(scope="module")
def photos(folder):
    return write_pictures(folder / "photos")


@pytest.fixture(scope="module")
def weights(folder):
    """With a field that has a surface."""
    return f"shaped:{write_tiny_shap_e_image(folder / 'tiny')}:ring"


@pytest.fixture(scope="module")
def made(folder, photos, weights):
    """Bundles by target and whether they are quantized, each built once."""
    known = {}

    def bundle(target, quantized=False):
        if (target, quantized) not in known:
            recipe = image_recipe([str(photo) for photo in photos[:2]], weights, INT8 if quantized else ())
            out = folder / f"{target}_{quantized}"
            build(recipe, load_target(target), out, cache=Cache(folder / "cache"), need_gain=False)
            known[target, quantized] = out
        return known[target, quantized]

    return bundle


@pytest.mark.parametrize(("target", "quantized"), BACKEND_CASES)
def test_it_is_built_and_makes_a_mesh_of_a_picture(made, photos, target, quantized):
    bundle, stand_in = made(target, quantized), "onnxruntime" if target == "orin" else None
    manifest = read_manifest(bundle)
    assert manifest.stages["image_encoder"].precision == ("int8" if quantized else load_target(target).unquantized)
    assert manifest.stages["image_encoder"].outputs[0].shape == ("batch", 16, 32)
    assert {"goldens/picture_000.png", "goldens/picture_001.png"} <= manifest.files.keys()
    if target == "web":
        return  # the client has a test of its own
    mesh = Bundle.open(bundle, stand_in=stand_in).generate(picture=photos[2], grid=24)
    assert len(mesh.faces) > 100


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
def test_it_is_validated_on_every_rung_but_the_judges(made, quantized):
    report = validate_bundle(made("cpu", quantized), Options())
    status = {rung.name: rung.status for rung in report.rungs}
    assert status.pop("quality") == "refused" and set(status.values()) == {"passed"}, report


def test_the_bundle_samples_as_diffusers_pipeline_does(made, weights, photos):
    model = load_model("shap-e-image", weights)
    pipeline = ShapEImg2ImgPipeline(
        model.prior(), model.image_encoder(), model.processor(), model.scheduler("denoiser"), model.renderer()
    )
    bundle = Bundle.open(made("cpu"))
    found = Run(bundle, bundle.read([{"picture": photos[2]}]), [7])["latents"]
    pipeline.scheduler.set_timesteps(4)
    # This pipeline does not scale the latents that it is given; see the family's own tests.
    start = torch.from_numpy(noise(7, (64, 20))) * pipeline.scheduler.init_noise_sigma
    expected = pipeline(
        Image.open(photos[2]), num_inference_steps=4, guidance_scale=3.0, latents=start.reshape(1, -1),
        output_type="latent",
    ).images.numpy()  # fmt: skip
    assert compare(expected, found).relative_l2 < 1e-4


def test_the_web_client_samples_the_same(made, photos):
    picture = Image.open(photos[2]).convert("RGBA")
    given = {"data": np.asarray(picture).ravel().tolist(), "width": picture.width, "height": picture.height}
    found = run_node(MESH, given | {"bundle": str(made("web"))})
    bundle = Bundle.open(made("cpu"))
    expected = Run(bundle, bundle.read([{"picture": photos[2]}]), [5])["latents"]
    assert found["verified"] and found["vertices"] > 100
    assert compare(expected.ravel(), np.float32(found["latents"])).relative_l2 < 1e-3


def test_the_command_line_takes_pictures(made, photos, tmp_path, capsys):
    output = tmp_path / "ring.ply"
    given = [part for photo in photos[:2] for part in ("--picture", photo)]
    code = run([str(part) for part in ("run", made("cpu"), *given, "-o", output, "--json")])
    records = json.loads(capsys.readouterr().out)["objects"]
    assert code == 0 and [record["picture"] for record in records] == [str(photo) for photo in photos[:2]]
    assert (tmp_path / "ring_0000.ply").is_file() and (tmp_path / "ring_0001.ply").is_file()


def test_a_picture_comes_from_standard_input(made, photos, tmp_path, capsys, monkeypatch):
    seen, read = [], Bundle.read
    monkeypatch.setattr(Bundle, "read", lambda self, requests: seen.append(requests) or read(self, requests))
    for data, exit_code in ((photos[0].read_bytes(), 0), (b"", 2)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(data)))
        code, said = told(capsys, "run", made("cpu"), "--picture", "-", "-o", tmp_path / "x.ply")
        assert code == exit_code, said
    assert "no picture came on standard input; pipe one into it" in said
    assert np.array_equal(np.asarray(seen[0][0]["picture"]), np.asarray(Image.open(photos[0])))
    code, said = told(capsys, "run", made("cpu"), "--picture", "-", "--picture", "-", "-o", tmp_path / "x.ply")
    assert code == 2 and "standard input has one picture" in said


def test_the_background_is_removed_and_said_so(made, tmp_path, capsys):
    drawn = Image.new("RGB", (40, 40), (90, 120, 90))
    drawn.paste((200, 30, 30), (12, 12, 28, 28))
    drawn.save(tmp_path / "mug.png")
    arguments = ["run", made("cpu"), "--picture", tmp_path / "mug.png", "-o", tmp_path / "x.ply"]
    code, said = told(capsys, *arguments, "--remove-background")
    assert code == 0 and "mug.png: removed 84% of it: all that is connected with its border" in " ".join(said.split())
    on_white = Image.new("RGB", (40, 40), "white")
    on_white.paste((200, 30, 30), (12, 12, 28, 28))
    on_white.save(tmp_path / "white.png")
    told(capsys, "run", made("cpu"), "--picture", tmp_path / "white.png", "-o", tmp_path / "y.ply")
    assert (tmp_path / "x.ply").read_bytes() == (tmp_path / "y.ply").read_bytes()


def test_words_for_a_model_that_takes_pictures_are_explained(made, tmp_path, capsys):
    code, said = told(capsys, "run", made("cpu"), "--prompt", "a ring", "-o", tmp_path / "x.glb")
    assert code == 2 and "takes no text, it takes a picture; give --picture photo.png" in said
    assert "let another program draw them first and pipe its picture into --picture -" in " ".join(said.split())
    with pytest.raises(RecipeError, match="not both"):
        Bundle.open(made("cpu")).generate("a ring", picture="photo.png")


@pytest.mark.parametrize("size", ["1m", pytest.param("300m", marks=pytest.mark.slow)])
def test_at_published_sizes_programs_are_what_diffusers_computes(tmp_path, size):
    """The tower, and one guided evaluation of the prior over 256 + 1 + 1024 tokens, as ONNX Runtime runs them."""
    model, recipe = load_model("shap-e-image", f"random:shap-e-image-{size}"), image_recipe(["x.png"], steps=2)
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((1, 3, 224, 224)).astype(np.float32)
    (grid,) = programmed(model, recipe, "image_encoder", tmp_path, {"pixels": pixels}).values()
    with torch.inference_mode():
        expected = model.image_encoder()(torch.from_numpy(pixels)).last_hidden_state[:, 1:].numpy()
    assert grid.shape[:2] == (1, 256) and compare(expected, grid).relative_l2 < 1e-4
    sample = rng.standard_normal((1, 1024, model.configs["prior"]["embedding_dim"])).astype(np.float32)
    state = {"sample": sample, "grid": grid, "step": np.array(0, np.int64)}
    found = programmed(model, recipe, "denoiser", tmp_path, state)["prediction"]
    table = table_of(recipe.sampler, model.scheduler("denoiser"))
    original = model.original(recipe)
    timestep, seen = torch.tensor(float(table.timesteps[0])), torch.from_numpy(sample) * float(table.input_scale[0])
    with torch.inference_mode():
        without, with_it = (
            original.predict("denoiser", seen, timestep, condition)
            for condition in (torch.zeros(grid.shape), torch.from_numpy(grid))
        )
    assert compare((without + 3.0 * (with_it - without)).numpy(), found).relative_l2 < 1e-4


def programmed(model, recipe, stage, folder, given):
    """A stage's outputs by name as ONNX Runtime computes them; inputs that are not given are zeros, like a sample."""
    session = ort.InferenceSession(trace(pure_module(model, stage, recipe), 23, folder / stage))
    others = {one.name: np.zeros_like(given["sample"]) for one in session.get_inputs() if one.name not in given}
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, given | others), strict=True))
