"""A picture to a mesh without a sampler: built for every backend, run, validated, benched and quantized."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from PIL import Image

from exporter.build.build import build
from exporter.errors import ValidationFailed
from exporter.families import registry
from exporter.families.registry import register
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import read_manifest
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import field_of
from exporter.runtime.surface.extract import extract_mesh
from exporter.runtime.surface.squash import PLAIN, TANH
from exporter.targets.target import load_target
from tests.browser import chromium
from tests.exporter.backend_cases import BACKEND_CASES, IN_THE_CLIENT
from tests.exporter.photos_family import RECIPE, STEEPNESS, Photos
from tests.node import run_node
from tests.told import told
from tests.web_page import axe, kept, opened, served
from tests.web_page import made as made_by
from validate.bench.measure import BenchSettings, measure
from validate.prove import Options, validate_bundle

INT8 = 'quantization.rules=[{layers: "lifter/*", precision: int8}]'
MESH = """
import { meshOf, WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given.bundle);
const photo = { data: Uint8ClampedArray.from(given.data), width: given.width, height: given.height };
const mesh = await meshOf(bundle.make({ photo }));
tell({ vertices: [...mesh.vertices], colors: [...mesh.colors],
       verified: (await verify(bundle)).every(({ passed }) => passed) });
"""  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def family():
    register("photos", Photos)
    yield
    registry._loaders.pop("photos")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recipe and the pictures beside it."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "pictures").mkdir()
    draw = np.random.default_rng(0)
    for name, color in (("red", (200, 60, 70)), ("blue", (60, 70, 200)), ("green", (70, 190, 60))):
        pixels = np.clip(np.array(color) + draw.normal(0, 20, (33, 47, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{name}.png")
    (folder / "photos.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def made(folder):
    """Bundles by target and whether they are quantized, each built once."""
    known = {}

    def bundle(target, quantized=False):
        if (target, quantized) not in known:
            recipe = load_recipe(folder / "photos.yaml", [INT8] if quantized else [])
            out = folder / f"{target}_{quantized}"
            build(recipe, load_target(target), out, cache=Cache(folder / "cache"), need_gain=False)
            known[target, quantized] = out
        return known[target, quantized]

    return bundle


@pytest.mark.parametrize(("target", "quantized"), BACKEND_CASES)
def test_it_is_built_makes_a_ball_of_the_photos_colour_and_validates(made, folder, target, quantized):
    bundle, stand_in = made(target, quantized), "onnxruntime" if target == "orin" else None
    manifest = read_manifest(bundle)
    assert manifest.stages["lifter"].precision == ("int8" if quantized else load_target(target).unquantized)
    assert manifest.recipe["goldens"]["prompts"] == ["goldens/picture_000.png", "goldens/picture_001.png"]
    assert {"goldens/picture_000.png", "goldens/picture_001.png"} <= manifest.files.keys()
    if target == "web":
        return  # the client has a test of its own
    mesh = Bundle.open(bundle, stand_in=stand_in).generate(folder / "pictures" / "green.png")
    # The cube from -1 to 1 is what the model has from -0.6 to 0.6, where the ball's radius is 0.3.
    radii = np.linalg.norm(mesh.vertices, axis=1)
    assert radii.std() < 0.01 and radii.mean() == pytest.approx(0.5, abs=0.03)
    assert np.allclose(mesh.colors.mean(axis=0), np.array([70, 190, 60]) / 255, atol=0.05)
    # The shipped pictures and their captions mean nothing to it.
    report = validate_bundle(
        bundle, Options(stand_in=stand_in, rungs=("stages", "steps", "latents", "shape", "renders"))
    )
    status = {rung.name: rung.status for rung in report.rungs}
    assert status == {
        "stages": "passed", "steps": "skipped", "latents": "skipped", "shape": "passed", "renders": "skipped",
    }, report  # fmt: skip


@pytest.mark.parametrize("quantized", IN_THE_CLIENT)
def test_the_web_client_makes_the_same_mesh(made, folder, quantized):
    picture = Image.open(folder / "pictures" / "red.png").convert("RGBA")
    given = {"data": np.asarray(picture).ravel().tolist(), "width": picture.width, "height": picture.height}
    found = run_node(MESH, given | {"bundle": str(made("web", quantized))})
    expected = Bundle.open(made("cpu", quantized)).generate(folder / "pictures" / "red.png")
    assert found["verified"]
    vertices, colors = (np.reshape(found[name], (-1, 3)) for name in ("vertices", "colors"))
    # The two marching cubes number the vertices in another order.
    apart = np.linalg.norm(vertices[:, None] - expected.vertices, axis=2)
    assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 1e-3
    assert np.allclose(colors, expected.colors[apart.argmin(axis=1)], atol=0.02)


def test_the_page_takes_a_file_or_one_of_the_bundles_own_pictures(made, folder):
    with chromium() as browser, served(made("web")) as url, opened(browser, url) as (page, heard):
        page.get_by_label("Photo", exact=True).set_input_files(folder / "pictures" / "red.png")
        page.get_by_role("img", name="The chosen photo").wait_for()
        page.get_by_role("button", name="Make it").click()
        made_by(page)
        by_file = kept(page, "GLB")
        # The first of the bundle's own is the same picture.
        for number, is_same in enumerate([True, False]):
            example = page.locator("#examples button").nth(number)
            example.click()
            chosen = "(name) => document.querySelector('input[type=file]').files[0].name === name"
            page.wait_for_function(chosen, arg=example.locator("img").get_attribute("alt"))
            page.get_by_role("button", name="Make it").click()
            made_by(page)
            assert (kept(page, "GLB") == by_file) == is_same
        assert axe(page) == [] and heard == []


def test_without_a_tanh_nothing_is_undone(made, folder):
    """Taken for squashed, a margin of up to six would be saturated nearly everywhere, and no block be cleared."""
    run = Bundle.open(made("cpu")).make({"photo": folder / "pictures" / "red.png"})
    field, seen = field_of(run), []
    exact = extract_mesh(field, 64, exact=True)
    near = extract_mesh(field, 64, on_sampled=seen.append)
    extract_mesh(field._replace(squash=TANH), 64, on_sampled=seen.append)
    assert field.squash == PLAIN and np.array_equal(near.vertices, exact.vertices)
    assert seen[0].points < 0.8 * seen[1].points
    middle = field.distance(np.zeros((1, 3), np.float32))
    assert middle == pytest.approx(0.3 * STEEPNESS, rel=0.02)


def test_the_command_line_takes_photos(made, folder, tmp_path, capsys):
    bundle, photo, ball = made("cpu"), folder / "pictures" / "green.png", tmp_path / "ball.glb"
    code, said = told(capsys, "run", bundle, "--picture", photo, "-o", ball, "--json")
    assert code == 0 and ball.is_file() and str(photo) in said
    code, said = told(capsys, "run", bundle, "-o", ball)
    assert code == 2 and "give --picture photo.png" in said
    code, said = told(capsys, "run", bundle, "--prompt", "a ball", "-o", ball)
    assert code == 2 and "takes no text, it takes a picture" in said
    code, said = told(capsys, "inspect", bundle)
    assert code == 0 and "photo: picture, 16 pixels" in said


def test_it_is_benched_on_a_picture_that_it_brings_along(made):
    result = measure([made("cpu")], BenchSettings(baselines=("torch",), rounds=1, fresh=False), Silent())
    torch, own = result.sides
    assert not torch.reason and {"inputs", "lifter", "solid"} <= set(own.seconds)
    assert own.sampler == torch.sampler == ""


def test_the_phones_page_says_how_a_photo_is_read(made):
    page = (made("cpu-executorch", True) / "device" / "README.md").read_text(encoding="utf-8")
    assert "Picture float32 [1, 3, 16, 16] of `photo`" in page and "the shorter edge resized to 20" in page
    assert "points in [-0.6, 0.6]³ to margin" in page


def test_other_bits_than_the_originals_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Photos, "resampling", "bilinear")
    recipe = load_recipe(folder / "photos.yaml")
    with pytest.raises(ValidationFailed, match=r"'photo' reads .*red\.png in another way than the original"):
        build(recipe, load_target("cpu"), tmp_path / "out", cache=Cache(tmp_path / "cache"))


def test_a_missing_picture_is_told_at_its_line(folder, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {folder / 'photos.yaml'}\ngoldens:\n  prompts:\n    - nowhere.png\n")
    code, said = told(capsys, "build", path, "--target", "cpu", "-o", tmp_path / "out")
    assert code == 2 and "mine.yaml:4: goldens.prompts.0: there is no picture" in said


def test_pictures_are_relative_to_the_recipe_that_names_them(folder, tmp_path):
    below = folder / "below"
    below.mkdir()
    (below / "child.yaml").write_text("extends: ../photos.yaml\nname: child\n")
    child = load_recipe(below / "child.yaml")
    assert all((child.folder / prompt).is_file() for prompt in child.goldens.prompts)
    assert child.in_folder(tmp_path).digest == child.digest


def test_a_run_starts_from_pixels_as_well(made):
    pixels = np.zeros((1, 3, 16, 16), np.float32)
    assert Run(Bundle.open(made("cpu")), {"pixels": pixels})["traits"].shape == (1, 4)
