"""Two samplers, one with churn, to points: built for every backend, run, validated, benched and quantized."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
import yaml
from PIL import Image

from exporter.build.build import build
from exporter.errors import RecipeError
from exporter.families import registry
from exporter.families.registry import register
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import read_manifest
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.assets.points import points_of
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.noise import noise
from exporter.runtime.run import Run, make
from exporter.targets.target import load_target
from tests.browser import chromium
from tests.exporter.backend_cases import BACKEND_CASES
from tests.exporter.clouds_family import FEW, MANY, RECIPE, Clouds, CloudsOriginal
from tests.node import CLIENT, node, run_node
from tests.told import told
from tests.web_page import by_node, kept, opened, served
from tests.web_page import made as made_by
from validate.bench.measure import BenchSettings, measure
from validate.prove import Options, validate_bundle

INT8 = ['quantization.rules=[{layers: "sprinkle/mix", precision: int8}, {layers: "thicken/mix", precision: int8}]']
UNROLLED = {"loop": ["sampler.unroll=loop"], "full": ["sampler.unroll=full"], "step": []}
POINTS = """
import { pointsOf, WebBundle } from "./index.js";
import { verify } from "./goldens.js";
const bundle = await WebBundle.open(given.bundle);
const { positions, colors } = await pointsOf(bundle.make({ verse: given.verse }, { seed: given.seed }));
tell({ positions: [...positions], colors: [...colors],
       verified: (await verify(bundle)).every(({ passed }) => passed) });
"""  # fmt: skip
GREEN, SEED = "a green swarm", 11


@pytest.fixture(scope="module", autouse=True)
def family():
    register("clouds", Clouds)
    yield
    registry._loaders.pop("clouds")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clouds") / "clouds.yaml"
    path.write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def made(recipe_file):
    """Bundles by target, whether they are quantized and how their samplers are unrolled, each built once."""
    known = {}

    def bundle(target, quantized=False, unroll="step"):
        if (target, quantized, unroll) not in known:
            recipe = load_recipe(recipe_file, [*(INT8 if quantized else []), *UNROLLED[unroll]])
            out = recipe_file.parent / f"{target}_{quantized}_{unroll}"
            build(recipe, load_target(target), out, cache=Cache(recipe_file.parent / "cache"), need_gain=False)
            known[target, quantized, unroll] = out
        return known[target, quantized, unroll]

    return bundle


@pytest.fixture(scope="module")
def original(recipe_file):
    return CloudsOriginal(Clouds("by hand"), load_recipe(recipe_file))


def run_of(programs, verse=GREEN, seed=SEED) -> Run:
    return make(programs, [{"verse": verse}], [seed])


def relative(expected, actual):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(("target", "quantized"), BACKEND_CASES)
def test_it_is_built_makes_points_and_validates(made, original, target, quantized):
    bundle, stand_in = made(target, quantized), "onnxruntime" if target == "orin" else None
    manifest = read_manifest(bundle)
    for stage, takes_noise in (("sprinkle", True), ("thicken", False)):
        part = manifest.stages[stage]
        assert part.precision == ("int8" if quantized else load_target(target).unquantized)
        assert ("noise" in [spec.name for spec in part.inputs]) == takes_noise == (part.sampling.churn is not None)
    assert manifest.stages["sprinkle"].sampling.guidance_scale > manifest.stages["thicken"].sampling.guidance_scale
    if target == "web":
        return  # the client has a test of its own
    opened = Bundle.open(bundle, stand_in=stand_in)
    cloud, expected = opened.points(run_of(opened)), points_of(run_of(original))
    assert cloud.positions.shape == cloud.colors.shape == (FEW + MANY, 3)
    assert relative(expected.positions, cloud.positions) < (0.2 if quantized else 0.1 if target == "orin" else 1e-4)
    radii = np.linalg.norm(cloud.positions, axis=1)
    assert 0.4 < radii.mean() < 0.8 and np.ptp(cloud.positions, axis=0).min() > 0.8
    assert cloud.colors.mean(axis=0).argmax() == 1
    report = validate_bundle(bundle, Options(stand_in=stand_in))
    status = {rung.name: rung.status for rung in report.rungs}
    assert status == {
        "stages": "passed", "steps": "passed", "latents": "passed", "shape": "passed", "renders": "skipped",
        "quality": "skipped",
    }, report  # fmt: skip


@pytest.mark.parametrize("unroll", ["loop", "full"])
@pytest.mark.parametrize("target", ["cpu", "web", "cpu-executorch"])
def test_all_evaluations_in_one_program_take_all_noise(made, original, target, unroll):
    if (target, unroll) == ("cpu-executorch", "loop"):
        pytest.skip("ExecuTorch has no loop")
    bundle = made(target, unroll=unroll)
    part = read_manifest(bundle).stages["sprinkle"]
    shapes = {spec.name: spec.shape for spec in part.inputs}
    assert shapes["noise"] == ("batch", part.sampling.evaluations, 6, FEW)
    if target == "web":
        assert from_the_client(bundle)["verified"]
        return
    opened = Bundle.open(bundle)
    assert relative(run_of(original)["seeds"], run_of(opened)["seeds"]) < 1e-4
    rungs = {rung.name: rung.status for rung in validate_bundle(bundle, Options()).rungs}
    assert (rungs["stages"], rungs["steps"], rungs["latents"]) == ("passed", "skipped", "passed")


def from_the_client(bundle, verse=GREEN, seed=SEED):
    return run_node(POINTS, {"bundle": str(bundle), "verse": verse, "seed": seed})


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
def test_the_web_client_makes_the_same_points(made, quantized):
    found = from_the_client(made("web", quantized))
    expected = points_of(run_of(Bundle.open(made("cpu", quantized))))
    assert found["verified"]
    close = 0.05 if quantized else 1e-4
    assert np.allclose(np.reshape(found["positions"], (-1, 3)), expected.positions, atol=close)
    assert np.allclose(np.reshape(found["colors"], (-1, 3)), expected.colors, atol=close)


def test_the_web_client_writes_a_file_of_points(made, tmp_path):
    import subprocess

    path = tmp_path / "swarm.glb"
    command = [node(), str(CLIENT / "generate.js"), GREEN, "--bundle", str(made("web")), "-o", str(path)]
    done = subprocess.run([*command, "--seed", str(SEED)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and f"({FEW + MANY} points)" in done.stdout, done.stderr
    assert in_gltf(path).shape == (FEW + MANY, 3)


def test_the_page_makes_points_that_are_unlike_what_is_named(made, led_away, tmp_path):
    expected = by_node(led_away("web"), GREEN, tmp_path / "swarm.glb", "--seed", str(SEED), "--negative", "a red swarm")
    with chromium() as browser, served(led_away("web")) as url, opened(browser, url) as (page, heard):
        page.get_by_label("Verse", exact=True).fill(GREEN)
        page.get_by_label("Negative verse").fill("a red swarm")
        page.get_by_label("Seed", exact=True).fill(str(SEED))
        assert page.get_by_label("Quality").is_hidden() and page.get_by_label("As", exact=True).is_hidden()
        page.get_by_role("button", name="Make it").click()
        assert f"{FEW + MANY} points" in made_by(page)
        assert kept(page, "GLB") == expected and heard == []


def in_gltf(path):
    """The places in a file of points, z up again."""
    loaded = trimesh.load(path)
    (points,) = loaded.geometry.values()
    x, y, z = points.vertices.T
    return np.stack([x, -z, y], axis=1)


def test_the_second_sampler_draws_noise_of_its_own(made, original):
    """From the first one's stream, its first points would be those of the first."""
    for programs in (original, Bundle.open(made("cpu"))):
        draws = run_of(programs).draws("thicken")
        assert np.array_equal(draws(0)[0], noise(SEED, (6, MANY), stream=1))
        assert not np.allclose(draws(0)[0].ravel()[: 6 * FEW], run_of(programs).draws("sprinkle")(0)[0].ravel())


def test_another_draw_of_churn_makes_another_object(made):
    """So the noise that is given on the way reaches the points, and a golden is made again by its seed."""
    bundle = Bundle.open(made("cpu"))
    run = run_of(bundle, "a blue swarm", RECIPE["goldens"]["seed"] + 1)
    with np.load(bundle.folder / read_manifest(bundle.folder).goldens["palette"][0]) as golden:
        assert relative(golden["seeds"][1], run["seeds"][0]) < 1e-4
    draws = run.draws("sprinkle")
    other = bundle.sample("sprinkle", run.tensors, draws(0), draws=lambda k: draws(k + 100))
    assert relative(run["seeds"], other) > 0.01


def test_the_command_line_writes_points(made, tmp_path, capsys):
    bundle, ply, glb = made("cpu"), tmp_path / "swarm.ply", tmp_path / "swarm.glb"
    code, said = told(capsys, "run", bundle, "--prompt", GREEN, "--seed", SEED, "-o", ply, "--json")
    assert code == 0 and json.loads(said)["objects"][0]["points"] == FEW + MANY
    expected = points_of(run_of(Bundle.open(bundle)))
    points = trimesh.load(ply)
    assert np.allclose(points.vertices, expected.positions, atol=1e-6)
    assert np.abs(points.colors[:, :3] - 255 * expected.colors).max() <= 0.5
    gif, png = tmp_path / "swarm.gif", tmp_path / "swarm.png"
    pictures = ["--turntable", gif, "--image", png, "--pixels", 48]
    code, said = told(capsys, "run", bundle, "--prompt", GREEN, "--seed", SEED, "--points", glb, *pictures)
    assert code == 0 and f"({FEW + MANY} points, " in said
    assert np.allclose(in_gltf(glb), expected.positions, atol=1e-6)
    shown = np.asarray(Image.open(png).convert("RGB")).reshape(-1, 3).astype(int)
    inked = shown[(shown < 250).any(axis=1)]
    assert len(inked) > 200 and inked.mean(axis=0).argmax() == 1
    assert Image.open(gif).n_frames == 24 and Image.open(gif).size == (48, 48)


@pytest.mark.parametrize(
    ("arguments", "code", "refusal"),
    [
        (["-o", "swarm.stl"], 2, r"no file of points ends in '.stl'; allowed: .glb, .ply"),
        (["-o", "a.ply", "--points", "b.ply"], 2, "makes points and no mesh: give one of -o and --points"),
        (["--points", "swarm.obj"], 2, "no file of points ends in '.obj'"),
        (["-o", "a.ply", "--triangles", "500"], 2, "--triangles: for a mesh, and this bundle makes none"),
        (["--points", "a.ply", "--watertight", "--drop-parts", "1%"], 2, "--watertight, --drop-parts: for a mesh"),
        (["--image", "a.png", "--exact", "--quality", "fine"], 2, "--quality, --exact: for a mesh"),
        (["--points", "a.glb", "--up", "z"], 2, "in a '.glb' file y is up, by its specification"),
    ],
)
def test_files_that_points_have_not_are_refused(made, tmp_path, capsys, monkeypatch, arguments, code, refusal):
    monkeypatch.chdir(tmp_path)
    found, said = told(capsys, "run", made("cpu"), "--prompt", GREEN, *arguments)
    assert found == code and refusal in said and not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [{"texture": 256}, {"triangles": 9}, {"watertight": True}, {"drop_parts": 0.1}])
def test_saved_points_refuse_what_only_a_mesh_has(made, tmp_path, option):
    swarm = Bundle.open(made("cpu")).generate(GREEN, SEED)
    with pytest.raises(RecipeError, match=f"{next(iter(option))}: for a mesh, and this model makes none"):
        swarm.save(tmp_path / "swarm.ply", **option)
    assert not list(tmp_path.iterdir())


def test_points_alone_have_a_size(made, tmp_path, capsys):
    ply = tmp_path / "swarm.ply"
    code, _ = told(capsys, "run", made("cpu"), "--prompt", GREEN, "--points", ply, "--size", "80mm")
    assert code == 0 and np.isclose(np.ptp(trimesh.load(ply).vertices, axis=0).max(), 0.08)


def test_what_it_is_is_told(made, capsys):
    code, said = told(capsys, "inspect", made("cpu"))
    assert code == 0 and "of spots, coloured by tints" in said and "churn 1" in said
    page = (made("cpu-executorch", True) / "device" / "README.md").read_text(encoding="utf-8")
    assert "Its input noise is draw 1 + step" in page and "stream 1, draw 0" in page
    assert "the points `spots` in [-0.5, 0.5]³, z up, of the sRGB colours `tints` from 0 to 255" in page
    numbers = json.loads((made("cpu-executorch", True) / "device" / "noise.json").read_text())
    for row in numbers:
        drawn = noise(row["seed"], tuple(row["shape"]), row["draw"], row["stream"])
        assert row["first"] == drawn.ravel()[:16].tolist()
    assert {(row["stage"], row["stream"]) for row in numbers} == {("sprinkle", 0), ("thicken", 1)}


def test_it_is_benched_beside_the_original(made):
    settings = BenchSettings(baselines=("torch",), rounds=1, fresh=False, original=("heun", 4), prompt=GREEN)
    torch, own = measure([made("cpu")], settings, Silent()).sides
    assert not torch.reason
    assert set(own.seconds) == set(torch.seconds) >= {"reader", "sprinkle", "thicken", "palette"}
    assert own.evaluations == 7 + 5


OTHERS = [
    "samplers.sprinkle.conditions={negative: {replaces: none}, second: {replaces: prompt, weights: [0.0, 1.0]}}",
    "name=led_away",
]
LED_AWAY = """
import { WebBundle } from "./index.js";
const { verse, others } = given;
const [bundle, plain] = [await WebBundle.open(given.bundle), await WebBundle.open(given.plain)];
const seeds = async (besides) => {
  const run = bundle.make({ verse }, { seed: given.seed, others: besides });
  return [...(await run.tensor("seeds")).data];
};
let refused = "taken";
try { plain.make({ verse }, { others }); } catch (error) { refused = error.message; }
tell({ led: await seeds(others), alone: await seeds({}), refused });
"""  # fmt: skip


@pytest.fixture(scope="module")
def led_away(recipe_file):
    """Bundles whose first sampler takes a negative prompt and a second one, by target."""

    def bundle(target, *changes):
        out = recipe_file.parent / "_".join(["led", target, *changes])
        if not out.exists():
            recipe = load_recipe(recipe_file, [*OTHERS, *changes])
            build(recipe, load_target(target), out, cache=Cache(recipe_file.parent / "cache"), need_gain=False)
        return out

    return bundle


@pytest.mark.parametrize(
    ("target", "changes"), [("cpu", []), ("cpu", ["samplers.sprinkle.unroll=full"]), ("cpu-executorch", [])]
)
def test_other_prompts_are_weighed_as_by_the_original(made, recipe_file, led_away, target, changes):
    folder = led_away(target, *changes)
    opened, original = Bundle.open(folder), CloudsOriginal(Clouds("by hand"), load_recipe(recipe_file, OTHERS))
    others = {"negative": [{"verse": "a red swarm"}], "second": [{"verse": "a blue swarm"}]}

    def seeds(programs, **given):
        return make(programs, [{"verse": GREEN}], [SEED], others=given)["seeds"]

    plain = run_of(Bundle.open(made("cpu")))["seeds"]
    assert relative(plain, seeds(opened)) < 1e-4
    expected = seeds(original, **others)
    assert relative(expected, seeds(opened, **others)) < 1e-4
    assert relative(plain, expected) > 0.1
    assert relative(seeds(opened, negative=others["negative"]), expected) > 0.01
    assert all(rung.status in ("passed", "skipped") for rung in validate_bundle(folder, Options()).rungs)


def test_the_client_and_the_command_line_take_a_negative_prompt(made, led_away, tmp_path, capsys):
    others = {"negative": {"verse": "a red swarm"}, "second": {"verse": "a blue swarm"}}
    given = {"bundle": str(led_away("web")), "plain": str(made("web")), "verse": GREEN, "seed": SEED}
    found = run_node(LED_AWAY, given | {"others": others})
    run = Bundle.open(led_away("cpu")).make({"verse": GREEN}, SEED, others=others)
    assert relative(run["seeds"].ravel(), np.array(found["led"])) < 1e-4
    assert relative(run_of(Bundle.open(made("cpu")))["seeds"].ravel(), np.array(found["alone"])) < 1e-4
    assert found["refused"] == "the sampler of this bundle was not exported to take 'negative'"
    ply = tmp_path / "swarm.ply"
    led = ["--prompt", GREEN, "--seed", SEED, "--negative", "a red swarm", "-o", ply]
    code, said = told(capsys, "run", led_away("cpu"), *led)
    bundle = Bundle.open(led_away("cpu"))
    expected = bundle.points(bundle.make({"verse": GREEN}, SEED, others={"negative": {"verse": "a red swarm"}}))
    assert code == 0 and np.allclose(trimesh.load(ply).vertices, expected.positions, atol=1e-6)
    code, said = told(capsys, "run", made("cpu"), *led)
    assert code == 2 and "--negative: this bundle's sampler was not exported to take one" in said


REFUSED = [
    ({"samplers": {"thickn": {"steps": 3}}}, "samplers.thickn: no stage of that name samples; allowed: sprinkle"),
    ({"mesh": {"grid": 16}}, "mesh: this pipeline makes no mesh"),
    ({"sampler": RECIPE["sampler"] | {"churn": {"s_churn": 1.0, "s_tmin": 50.0}}}, "sampler.churn: no step's noise"),
]


@pytest.mark.parametrize(("changes", "refusal"), REFUSED, ids=[refusal.split(":")[0] for _, refusal in REFUSED])
def test_what_does_not_fit_is_refused(tmp_path, capsys, changes, refusal):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes, sort_keys=False))
    code, said = told(capsys, "build", path, "--target", "cpu", "-o", tmp_path / "out")
    field = refusal.split(":")[0].split(".")[-1]
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if text.strip().startswith(f"{field}:"))
    assert code == 2 and refusal in said
    assert refusal.startswith("sampler.churn") or f"mine.yaml:{line}: " in said
