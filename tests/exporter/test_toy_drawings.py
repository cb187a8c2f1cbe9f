"""Words to a picture that is a tensor, by flow matching: built for every backend, benched and quantized."""

from __future__ import annotations

import io

import numpy as np
import pytest
import yaml
from PIL import Image

from exporter.build.build import build
from exporter.errors import RecipeError
from exporter.families import registry
from exporter.families.registry import register
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import read_manifest, require_whole
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.assets.pictures import picture_of
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import make
from exporter.targets.target import load_target
from tests.browser import chromium
from tests.exporter.backend_cases import BACKEND_CASES, IN_THE_CLIENT
from tests.exporter.drawings_family import ACROSS, HEIGHT, RECIPE, SCALE, Drawings, DrawingsOriginal
from tests.node import run_node
from tests.told import told
from tests.web_page import kept, opened, served
from tests.web_page import made as made_by
from validate.bench.measure import BenchSettings, measure
from validate.prove import Options, validate_bundle

INT8 = 'quantization.rules=[{layers: "sketcher/*", precision: int8}, {layers: "inker/*", precision: int8}]'
DRAW = """
import { imageOf, WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given.bundle);
const { data, width, height } = await imageOf(bundle.make({ caption: "dark green" }, { seed: 3 }));
const refused = await bundle.generate("dark green").catch(({ message }) => message);
tell({ data: [...data], width, height, refused,
       verified: (await verify(bundle)).every(({ passed }) => passed) });
"""  # fmt: skip
SHAPE = (SCALE * HEIGHT, SCALE * ACROSS, 3)


@pytest.fixture(scope="module", autouse=True)
def family():
    register("drawings", Drawings)
    yield
    registry._loaders.pop("drawings")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawings") / "drawings.yaml"
    path.write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def made(recipe_file):
    """Bundles by target and whether they are quantized, each built once."""
    known = {}

    def bundle(target, quantized=False):
        if (target, quantized) not in known:
            recipe = load_recipe(recipe_file, [INT8] if quantized else [])
            out = recipe_file.parent / f"{target}_{quantized}"
            build(recipe, load_target(target), out, cache=Cache(recipe_file.parent / "cache"), need_gain=False)
            known[target, quantized] = out
        return known[target, quantized]

    return bundle


@pytest.fixture(scope="module")
def original(recipe_file):
    """The picture of a caption and a seed as the original draws it."""
    recipe = load_recipe(recipe_file)
    return lambda caption, seed: picture_of(
        make(DrawingsOriginal(Drawings("by hand"), recipe), [{"caption": caption}], [seed])
    )


@pytest.mark.parametrize(("target", "quantized"), BACKEND_CASES)
def test_it_is_built_draws_what_the_original_draws_and_validates(made, original, target, quantized):
    folder, stand_in = made(target, quantized), "onnxruntime" if target == "orin" else None
    manifest = read_manifest(folder)
    for stage in ("sketcher", "inker"):
        assert manifest.stages[stage].precision == ("int8" if quantized else load_target(target).unquantized)
    assert "mesh" not in manifest.recipe and "render" not in manifest.recipe
    if target == "web":
        return  # the client has a test of its own
    picture = picture_of(Bundle.open(folder, stand_in=stand_in).make({"caption": "dark green"}, 3))
    assert (picture.dtype, picture.shape) == (np.uint8, SHAPE)
    red, green, blue = picture.mean(axis=(0, 1))
    assert green > 1.5 * max(red, blue)
    apart = np.abs(picture.astype(int) - original("dark green", 3)).mean()
    assert apart < (6 if quantized else 1)
    report = validate_bundle(folder, Options(stand_in=stand_in))
    status = {rung.name: rung.status for rung in report.rungs}
    assert status == {
        "stages": "passed", "steps": "passed", "latents": "passed", "shape": "skipped", "renders": "passed",
        "quality": "skipped",
    }, report  # fmt: skip


@pytest.mark.parametrize("quantized", IN_THE_CLIENT)
def test_the_web_client_draws_the_same_picture(made, quantized):
    found = run_node(DRAW, {"bundle": str(made("web", quantized))})
    expected = picture_of(Bundle.open(made("cpu", quantized)).make({"caption": "dark green"}, 3))
    assert found["verified"] and (found["height"], found["width"], 3) == SHAPE
    drawn = np.reshape(found["data"], (*SHAPE[:2], 4))
    assert (drawn[..., 3] == 255).all()
    assert np.abs(drawn[..., :3] - expected.astype(int)).max() <= (40 if quantized else 1)
    assert "makes no mesh; it makes drawing" in found["refused"]


def test_the_page_shows_the_picture_that_the_client_draws(made):
    drawn = run_node(DRAW, {"bundle": str(made("web"))})
    with chromium() as browser, served(made("web")) as url, opened(browser, url) as (page, heard):
        page.get_by_label("Caption").fill("dark green")
        page.get_by_label("Seed", exact=True).fill("3")
        page.get_by_role("button", name="Make it").click()
        assert f"{SHAPE[1]} × {SHAPE[0]} pixels" in made_by(page)
        assert page.locator("#flat").get_attribute("aria-label") == "dark green, seed 3"
        found = np.asarray(Image.open(io.BytesIO(kept(page, "PNG"))))
        assert np.array_equal(found.ravel(), drawn["data"]) and heard == []


def test_two_seeds_draw_two_pictures_and_a_batch_draws_the_same(made, original):
    bundle = Bundle.open(made("cpu"))
    run = make(bundle, [{"caption": "red"}] * 2, [0, 1]).sample()
    first, second = (picture_of(one) for one in run.objects())
    assert np.abs(first.astype(int) - original("red", 0)).max() <= 1
    assert np.abs(first.astype(int) - second).mean() > 3


def test_what_is_generated_is_a_picture_and_no_mesh(made, tmp_path):
    drawing = Bundle.open(made("cpu")).generate("blue", seed=2)
    assert repr(drawing) == "<GeneratedObject 'blue', seed 2: 24 x 16 pixels>"
    assert drawing.save(tmp_path / "blue.png") == [tmp_path / "blue.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "blue.png")), drawing.picture)
    for save in (lambda: drawing.mesh, lambda: drawing.save(tmp_path / "blue.glb")):
        with pytest.raises(RecipeError, match="it makes drawing"):
            save()


def test_the_command_line_draws_a_picture(made, tmp_path, capsys):
    bundle, drawing = made("cpu"), tmp_path / "drawing.png"
    code, said = told(capsys, "run", bundle, "--prompt", "blue", "--seed", 2, "-o", drawing, "--json")
    assert code == 0 and Image.open(drawing).size == (SHAPE[1], SHAPE[0])
    expected = picture_of(Bundle.open(bundle).make({"caption": "blue"}, 2))
    assert np.array_equal(np.asarray(Image.open(drawing)), expected)
    code, said = told(capsys, "run", bundle, "--prompt", "blue", "-o", drawing, "--pixels", 64)
    assert code == 2 and "64 pixels: this model's picture is as 'inker' makes it, 24 x 16 pixels" in said
    code, said = told(capsys, "run", bundle, "--prompt", "blue", "-o", tmp_path / "mesh.glb")
    assert code == 4 and "it makes no mesh; it makes drawing" in said
    code, said = told(capsys, "inspect", bundle)
    assert code == 0 and "canvas of inker, 24 x 16 pixels" in said and "flow_euler, 6 steps" in said


def test_it_is_benched_beside_its_original_with_nothing_said(made):
    settings = BenchSettings(baselines=("torch",), rounds=1, fresh=False, prompt="red")
    torch, own = measure([made("cpu")], settings, Silent()).sides
    assert not torch.reason
    assert set(own.seconds) == set(torch.seconds) == {"inputs", "speller", "sketcher", "inker", "drawing"}
    assert (own.sampler, torch.sampler) == ("flow_euler, 6 steps", "flow_euler, 50 steps")
    assert (own.evaluations, torch.evaluations) == (6, 50)


def test_the_phones_page_says_what_the_picture_is(made):
    page = (made("cpu-executorch", True) / "device" / "README.md").read_text(encoding="utf-8")
    assert "Noise [1, 3, 4, 6] of a seed" in page and "`inker/program.pte`: strokes to canvas" in page
    assert "canvas [1, 3, 16, 24] is the picture: sRGB, red first, -1 is black and 1 is white" in page


def test_a_build_keeps_what_somebody_put_beside_the_bundle(made, recipe_file, tmp_path):
    out, cache = tmp_path / "out", Cache(recipe_file.parent / "cache")
    for number in range(2):
        build(load_recipe(recipe_file), load_target("web"), out, cache=cache, need_gain=False)
        package = out / "client/node_modules/a/index.js"
        assert package.is_file() == (number > 0)
        package.parent.mkdir(parents=True, exist_ok=True)
        package.write_text("mine")
    manifest = require_whole(out)
    assert package.read_text() == "mine" and not any("node_modules" in name for name in manifest.files)
