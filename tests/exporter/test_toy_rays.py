"""A pipeline without input, sampler and field: built for every backend, run, validated, benched and quantized."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import yaml
from PIL import Image

from exporter.build.build import build
from exporter.families import registry
from exporter.families.registry import register
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import read_manifest
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.pictures import rendered_picture, view_rays
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Run, make
from exporter.targets.target import load_target
from tests.exporter.backend_cases import BACKEND_CASES, IN_THE_CLIENT
from tests.exporter.rays_family import RECIPE, LightFieldOriginal, LightFields
from tests.node import run_node
from tests.told import told
from validate.bench.measure import BenchSettings, measure
from validate.prove import Options, validate_bundle

INT8 = {"rules": [{"layers": "light_field/*", "precision": "int8"}]}
RENDER = """
import { WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given.bundle);
const { radiance } = await bundle.make({}).at("light_field", Float32Array.from(given.rays), "radiance");
tell({ radiance: [...radiance], verified: (await verify(bundle)).every(({ passed }) => passed) });
"""


def recipe(**changes) -> Recipe:
    return Recipe.model_validate(copy.deepcopy(RECIPE) | changes)


@pytest.fixture(scope="module", autouse=True)
def family():
    register("light-fields", LightFields)
    yield
    registry._loaders.pop("light-fields")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Bundles by target and whether they are quantized, each built once."""
    folder = tmp_path_factory.mktemp("rays")
    known = {}

    def bundle(target, quantized=False):
        if (target, quantized) not in known:
            wanted = recipe(quantization=INT8, name="rays_int8") if quantized else recipe()
            out = folder / f"{target}_{quantized}"
            build(wanted, load_target(target), out, cache=Cache(folder / "cache"), need_gain=False)
            known[target, quantized] = out
        return known[target, quantized]

    return bundle


def stand_in(target: str) -> str | None:
    return "onnxruntime" if target == "orin" else None


@pytest.mark.parametrize(("target", "quantized"), BACKEND_CASES)
def test_it_is_built_renders_and_validates(made, target, quantized):
    folder = made(target, quantized)
    manifest = read_manifest(folder)
    assert manifest.stages["light_field"].precision == ("int8" if quantized else load_target(target).unquantized)
    assert "sampler" not in manifest.recipe and "mesh" not in manifest.recipe
    if target == "web":
        return  # the client has a test of its own
    bundle = Bundle.open(folder, stand_in=stand_in(target))
    picture = rendered_picture(bundle.make({}), 24)
    original = rendered_picture(original_run(), 24)
    assert np.array_equal(bundle.generate().picture, picture)
    assert repr(bundle.generate()) == "<GeneratedObject '', seed 0: 24 x 24 pixels>"
    assert picture.std() > 10
    assert np.abs(picture.astype(int) - original).mean() < (8 if quantized else 0.1)
    report = validate_bundle(folder, Options(stand_in=stand_in(target)))
    status = {rung.name: rung.status for rung in report.rungs}
    assert status == {
        "stages": "passed", "steps": "skipped", "latents": "skipped", "shape": "skipped", "renders": "passed",
        "quality": "skipped",
    }, report  # fmt: skip


def original_run() -> Run:
    return make(LightFieldOriginal(LightFields("seed 5"), recipe()), [{}], [0])


@pytest.mark.parametrize("quantized", IN_THE_CLIENT)
def test_the_web_client_evaluates_it(made, quantized):
    rays = view_rays(24)
    found = run_node(RENDER, {"bundle": str(made("web", quantized)), "rays": rays.ravel().tolist()})
    assert found["verified"]
    expected = original_run().at("light_field", rays, "radiance")["radiance"]
    assert np.abs(np.reshape(found["radiance"], expected.shape) - expected).mean() < (0.03 if quantized else 1e-5)


def test_the_command_line_renders_it_without_a_prompt(made, tmp_path, capsys):
    bundle, view = made("cpu"), tmp_path / "view.png"
    code, _ = told(capsys, "run", bundle, "-o", view, "--pixels", 16, "--json")
    assert code == 0 and Image.open(view).size == (16, 16)
    code, said = told(capsys, "run", bundle, "--prompt", "a chair", "-o", view)
    assert code == 2 and "takes no text, it takes nothing at all" in said
    code, said = told(capsys, "run", bundle, "-o", tmp_path / "mesh.glb")
    assert code == 4 and "it makes no mesh; it makes view" in said
    code, said = told(capsys, "inspect", bundle)
    assert code == 0 and "of light_field, 24 pixels" in said


def test_it_is_benched_beside_the_original(made):
    settings = BenchSettings(baselines=("torch",), rounds=1, fresh=False)
    torch, own = measure([made("cpu")], settings, Silent()).sides
    assert not torch.reason
    assert set(own.seconds) == set(torch.seconds) >= {"light_field"}
    assert (own.evaluations, own.sampler, torch.sampler) == (0, "", "")


def test_the_phones_page_tells_of_no_tokens_and_no_noise(made):
    folder = made("cpu-executorch", True) / "device"
    assert {path.name for path in folder.iterdir() if path.suffix == ".json"} == set()
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "`light_field/program.pte` draws rays" in page and "Noise" not in page


REFUSED = [
    ("sampler", {"scheduler": "ddim", "steps": 2, "guidance_scale": 1.0}, "sampler: no stage of this pipeline samples"),
    ("mesh", {"grid": 16}, "mesh: this pipeline makes no mesh"),
    ("goldens", {"prompts": ["a chair"]}, "goldens.prompts: this pipeline takes nothing from outside"),
    (
        "validation",
        {"tolerances": {"fp32": {"stage_snr_db": 90.0, "render_psnr_db": 60.0, "chamfer": 1.0}}},
        "validation.tolerances.fp32.chamfer: this pipeline makes no mesh",
    ),
    (
        "validation",
        {"tolerances": {"fp32": {"stage_snr_db": 90.0}}},
        "validation.tolerances.fp32.render_psnr_db: this field is required",
    ),
]


@pytest.mark.parametrize(
    ("section", "value", "refusal"), REFUSED, ids=[refusal.split(":")[0] for *_, refusal in REFUSED]
)
def test_what_the_pipeline_has_not_is_refused_at_its_line(tmp_path, capsys, section, value, refusal):
    path = tmp_path / "rays.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {section: value}, sort_keys=False))
    code, said = told(capsys, "build", path, "--target", "cpu", "-o", tmp_path / "out")
    lines = path.read_text().splitlines()
    field = refusal.split(":")[0].split(".")[-1]
    # What is missing is told where it belongs.
    number = next((i for i, line in enumerate(lines, 1) if line.strip().startswith(f"{field}:")), None)
    number = number or next(i for i, line in enumerate(lines, 1) if line.strip() == "fp32:")
    assert code == 2 and f"rays.yaml:{number}: {refusal}" in said
