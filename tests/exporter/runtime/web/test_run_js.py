"""The web client runs whatever the manifest declares, and makes of it what Python makes."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pytest

from exporter.families.registry import load_model
from exporter.manifest import read_manifest, write_manifest
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import Kind, Volume
from exporter.pipeline.sampling import NEXT_SAMPLE, PREDICTION, STATE, Sampling
from exporter.pipeline.tensor import WORDS
from exporter.runtime.bundle import Bundle
from exporter.runtime.rendering import render_rays
from exporter.runtime.surface.decoded import field_of
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.web.foreign_bundle import GLOW, write_foreign_bundle
from tests.exporter.tiny import tiny_recipe
from tests.node import CLIENT, run_node

REQUEST, SEED = {"text": "round wild", "style": "calm"}, 11
MADE = ("tokens", "feeling", "blob", "cloud", "centre", "tint")
OPEN = """
import * as ort from "onnxruntime-web";
import { imageOf, Run, WebBundle, meshOf } from "./index.js";
ort.env.wasm.numThreads = 1;
const bundle = await WebBundle.open(given.bundle);
const runs = [];
const { runProgram } = WebBundle.prototype;
bundle.runProgram = (stage, tensors) => (runs.push(stage), runProgram.call(bundle, stage, tensors));
const listed = ({ dims, data }) => ({ dims: [...dims], data: [...data] });
const floats = (values, dims) => new ort.Tensor("float32", Float32Array.from(values), dims);
"""
MAKE = OPEN + """
const steps = [];
const run = bundle.make(given.request, { seed: given.seed, onStep: (...told) => steps.push(told) });
const [cloud, again] = await Promise.all([run.tensor("cloud"), run.tensor("cloud")]);
const made = {};
for (const name of given.names) made[name] = listed(await run.tensor(name));
const once = runs.slice();
const { seen } = await run.at("eye", Float32Array.from(given.rays), "seen");
const mesh = await meshOf(run);
run.pipeline.asset("mesh").conventions = "openai";
const shrunk = await meshOf(run);
tell({ made, once, shrunk: [...shrunk.vertices], linear: [...shrunk.colors],
       steps, same: cloud === again, seen: [...seen], eyes: runs.filter((stage) => stage === "eye").length,
       vertices: [...mesh.vertices], faces: mesh.faces.length / 3, colors: [...mesh.colors],
       after: runs.filter((stage) => once.includes(stage)).length });
"""  # fmt: skip


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return write_foreign_bundle(tmp_path_factory.mktemp("foreign") / "bundle")


@pytest.fixture(scope="module")
def rays():
    # More than are rendered at a time.
    return np.random.default_rng(0).uniform(-1, 1, (4100, 2, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def found(foreign, rays):
    given = {"bundle": str(foreign), "request": REQUEST, "seed": SEED, "names": MADE, "rays": rays.ravel().tolist()}
    return run_node(MAKE, given)


def failure(bundle, script):
    """The message of the error that an expression ends in."""
    script = OPEN + f"tell(await (async () => {script})().then(() => 'well', (error) => error.message));"
    return run_node(script, {"bundle": str(bundle)})


def test_every_tensor_of_two_texts_and_two_samplers_is_pythons(foreign, found):
    run = Bundle.open(foreign).make(REQUEST, SEED)
    for name in MADE:
        assert found["made"][name]["dims"] == list(run[name].shape)
        assert np.allclose(np.reshape(found["made"][name]["data"], run[name].shape), run[name], atol=1e-6), name
    assert np.abs(run["cloud"]).max() > 0.1 and run["cloud"].ndim == 4


def test_a_stage_runs_when_it_is_first_wanted_and_never_again(found):
    assert found["once"] == ["words", "coarse", "coarse", "coarse", "mood", "fine", "bend"]
    assert found["same"] and found["after"] == len(found["once"])


def test_each_evaluation_is_reported_with_its_stage_but_of_a_whole_sampler_none(found):
    assert found["steps"] == [[1, 3, "coarse"], [2, 3, "coarse"], [3, 3, "coarse"]]


def test_mesh_and_pixels_are_pythons(foreign, rays, found):
    bundle = Bundle.open(foreign)
    run = bundle.make(REQUEST, SEED)
    seen = np.reshape(found["seen"], (-1, 3))
    assert found["eyes"] == 2 and np.allclose(seen, render_rays(run, rays), atol=1e-6)
    mesh = bundle.mesh(run)
    vertices, colors = (np.reshape(found[name], (-1, 3)) for name in ("vertices", "colors"))
    assert len(vertices) == len(mesh.vertices) > 100 and found["faces"] == len(mesh.faces)
    # Both have the same vertices, each in its own order.
    nearest = np.linalg.norm(vertices[:, None] - mesh.vertices[None], axis=2).argmin(axis=1)
    assert sorted(nearest) == list(range(len(vertices)))
    assert np.allclose(vertices, mesh.vertices[nearest], atol=1e-5)
    assert np.allclose(colors, mesh.colors[nearest], atol=1e-5)
    asset = bundle.pipeline.asset(MeshAsset)
    mesh = extract_mesh(field_of(run), asset.grid, asset.extraction == "exact", as_openai=True)
    vertices, colors = (np.reshape(found[name], (-1, 3)) for name in ("shrunk", "linear"))
    assert np.allclose(vertices, mesh.vertices[nearest], atol=1e-5)
    assert np.allclose(colors, mesh.colors[nearest], atol=1e-5)


def test_a_run_from_given_tensors_makes_nothing_before_them(foreign, found):
    script = OPEN + """
    const given_tensors = { cloud: floats(given.cloud.data, given.cloud.dims),
                            blob: floats(given.blob.data, given.blob.dims) };
    const run = new Run(bundle, given_tensors);
    const tint = listed(await run.tensor("tint"));
    tell({ tint, runs, error: await run.tensor("tokens").then(() => "made", (error) => error.message) });
    """  # fmt: skip
    made = run_node(script, {"bundle": str(foreign)} | {name: found["made"][name] for name in ("cloud", "blob")})
    assert made["tint"] == found["made"]["tint"] and made["runs"] == ["bend"]
    assert made["error"] == "'word_ids' is read from the input 'text', which this run was not given"


def test_a_pipeline_of_a_renderer_alone_needs_neither_input_nor_sampler(tmp_path, rays):
    bundle = write_foreign_bundle(tmp_path / "bundle", list(GLOW))
    script = OPEN + 'tell([...(await bundle.make({}).at("glow", Float32Array.from(given.rays), "seen")).seen]);'
    seen = run_node(script, {"bundle": str(bundle), "rays": rays[:5].ravel().tolist()})
    expected = render_rays(Bundle.open(bundle).make({}), rays[:5])
    assert np.allclose(np.reshape(seen, (-1, 3)), expected, atol=1e-6)
    assert failure(bundle, "bundle.generate('round')") == "this bundle makes no mesh; it makes image"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("bundle.session('fien')",
         "no stage 'fien' in this bundle; it has words, mood, coarse, fine, bend, shape, eye"),
        ("new Run(bundle, {}).tensor('clowd')",
         "no stage makes 'clowd'; they make tokens, feeling, blob, cloud, centre, tint"),
        ("bundle.make({ text: 'flat', stile: 'calm' })", "no input 'stile' in this bundle; it takes text, style"),
        ("bundle.make({ text: 'flat' })", "input 'style' has to be a text, and is missing"),
        ("bundle.make({ text: 'flat', style: 3 })", "input 'style' has to be a text, and is 3"),
        ("bundle.pipeline.asset('gaussians')", "this bundle makes no gaussians; it makes mesh, image"),
        ("imageOf(new Run(bundle, {}))",
         'the image of this bundle is rendered: run.at("eye", rays, …) gives colours'),
        ("new Run(bundle, {}).at('bend', new Float32Array(3), 'tint')",
         "stage 'bend' is of kind map: only field and render are evaluated at places"),
        ("new Run(bundle, {}).at('shape', new Float32Array(3), 'shadow')",
         "stage 'shape' has no output 'shadow'; it has shade, inside, thickness"),
        ("bundle.runProgram('mood', {})", "stage 'mood' takes mood_ids: not given"),
        ("bundle.generate('flat', { sed: 3 })",
         'no option "sed"; allowed: seed, grid, quality, exact, negative, onStep, signal'),
    ],
)  # fmt: skip
def test_what_there_is_none_of_is_said_in_words(foreign, script, message):
    assert failure(foreign, script) == message


def test_an_input_of_another_kind_is_refused_where_it_is_read(foreign, tmp_path):
    manifest = read_manifest(foreign)
    sound = manifest.inputs["style"].model_copy(update={"kind": "sound"})
    for path in manifest.files:
        (tmp_path / path).write_bytes((foreign / path).read_bytes())
    write_manifest(tmp_path, manifest.model_copy(update={"inputs": manifest.inputs | {"style": sound}}))
    message = "input 'style' is a sound, and this client reads texts and pictures only"
    assert failure(tmp_path, "bundle.generate('flat')") == message


def test_no_stage_or_tensor_of_the_shipped_model_is_named():
    stages = load_model("shap-e", "shap-e-mini").pipeline(tiny_recipe()).stages
    tensors = {spec.name for stage in stages.values() for spec in (*stage.inputs, *stage.outputs)}
    # Words of the format itself: the manifest's own fields, and the ports of every sampler.
    ports = {*STATE, NEXT_SAMPLE, PREDICTION}
    names = {*stages, *tensors} - ports - {*get_args(Kind), *WORDS, *Sampling.model_fields, *Volume.model_fields}
    assert {"denoiser", "projector", "embedding", "signed_distance"} <= names
    sources = {path.name: path.read_text() for path in CLIENT.glob("*.js")}
    named = {(file, name) for file, text in sources.items() for name in names if re.search(rf"\b{name}\b", text)}
    assert not named
