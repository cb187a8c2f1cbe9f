"""Web bundles of the shipped model on ONNX Runtime Web under Node.js, beside the same bundles in Python."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import onnx
import pytest
import trimesh

from exporter.manifest import list_files, read_manifest, write_manifest
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import field_of
from exporter.runtime.surface.extract import sample
from exporter.workshop.parity import compare
from tests.node import CLIENT, node, run_node

PROMPT, SEED, GRID = "a tall green table", 5, 32
REQUEST = {"prompt": PROMPT}
README = Path(__file__).parents[4] / "artifacts/README.md"
OPEN = """
import * as ort from "onnxruntime-web";
import { fieldOf, Run, WebBundle } from "./index.js";
ort.env.wasm.numThreads = 1;
const bundle = await WebBundle.open(given.bundle);
"""
SAMPLE = OPEN + """
import { sampleGrid } from "./grid.js";
const run = bundle.make({ prompt: given.prompt }, { seed: given.seed });
const { distances } = fieldOf(run);
const near = await sampleGrid(distances, given.grid, false);
const all = await sampleGrid(distances, given.grid, true);
const names = ["input_ids", "embedding", "latents"];
const [ids, embedding, latents] = await Promise.all(names.map((name) => run.tensor(name)));
tell({ ids: [...ids.data].map(Number), embedding: [...embedding.data],
       latents: [...latents.data], near: [...near.values], points: near.points, all: [...all.values] });
"""  # fmt: skip

EVALUATE = (
    OPEN
    + """
const predictions = [];
for (const [i, state] of given.states.entries()) {
  const tensors = { step: new ort.Tensor("int64", BigInt64Array.of(BigInt(i)), []) };
  for (const [name, [dims, values]] of Object.entries(state)) {
    tensors[name] = new ort.Tensor("float32", Float32Array.from(values), dims);
  }
  predictions.push([...(await bundle.runProgram("denoiser", tensors)).prediction.data]);
}
tell(predictions);
"""
)


@pytest.fixture(scope="module", params=["fp32", "int8"])
def sides(request, web_bundles):
    """(precision, Python's bundle, what JavaScript made of the same prompt and seed)."""
    folder = web_bundles[request.param].out
    given = {"bundle": str(folder), "prompt": PROMPT, "seed": SEED, "grid": GRID}
    return request.param, Bundle.open(folder), run_node(SAMPLE, given)


def error(expected, actual):
    return compare(expected, np.float32(actual).reshape(expected.shape)).relative_l2


def test_tokens_and_embedding_are_pythons(sides):
    _, bundle, found = sides
    run = bundle.make(REQUEST)
    assert found["ids"] == run["input_ids"][0].tolist()
    assert error(run["embedding"], found["embedding"]) < 1e-5


def test_latents_are_pythons(sides):
    precision, bundle, found = sides
    latents = bundle.make(REQUEST, SEED)["latents"]
    # In INT8 a last bit decides how a number is rounded, and all later evaluations start from there: those are
    # compared one by one below.
    assert precision == "int8" or error(latents, found["latents"]) < 1e-3


def test_each_evaluation_from_pythons_state_is_pythons(sides):
    precision, bundle, _ = sides
    seen = []
    run = bundle.make(REQUEST, SEED, lambda *step: seen.append(step[1:]))
    assert run["latents"].size
    zeros = np.zeros_like(seen[0][0])
    before = [(zeros, zeros), *seen[:-1]]
    states = [
        {"sample": sample, "previous_sample": earlier, "previous_prediction": predicted, "embedding": run["embedding"]}
        for (sample, _), (earlier, predicted) in zip(seen, before, strict=True)
    ]
    given = [{name: [list(value.shape), value.ravel().tolist()] for name, value in state.items()} for state in states]
    predictions = run_node(EVALUATE, {"bundle": str(bundle.folder), "states": given})
    worst = max(error(expected, found) for (_, expected), found in zip(seen, predictions, strict=True))
    # In INT8 a last bit decides how a number is rounded, in every layer anew; this recipe itself errs by 0.28.
    assert worst < (1e-4 if precision == "fp32" else 0.15), worst


def test_the_field_on_the_grid_is_pythons(sides):
    _, bundle, found = sides
    shape = bundle.manifest.stages["denoiser"].sampling.latents.shape[1:]
    latents = np.float32(found["latents"]).reshape(1, *shape)

    distance = field_of(Run(bundle, {"latents": latents})).distance
    assert error(sample(distance, GRID, exact=True)[0], found["all"]) < 1e-4
    near, sampling = sample(distance, GRID, exact=False)
    assert error(near, found["near"]) < 1e-4
    assert sampling.points == found["points"] < GRID**3


def test_every_golden_holds_on_onnxruntime_web(web_bundles):
    script = OPEN + 'import { verify } from "./goldens.js";\ntell(await verify(bundle));'
    for precision, report in web_bundles.items():
        found = run_node(script, {"bundle": str(report.out)})
        native = {(p.stage, p.golden, p.tensor): p.parity.snr_db for p in report.parities}
        assert all(one["passed"] for one in found)
        assert {(one["stage"], one["golden"].removeprefix("goldens/"), one["tensor"]) for one in found} == set(native)
        for one in found:
            at = one["stage"], one["golden"].removeprefix("goldens/"), one["tensor"]
            if precision == "int8" and native[at] < 90:
                assert abs(one["snr"] - native[at]) < 1.5, at


def test_the_client_in_the_bundle_makes_the_mesh_that_python_makes(web_bundles, tmp_path):
    folder = web_bundles["fp32"].out
    shipped = shutil.copytree(folder, tmp_path / "bundle")
    (shipped / "client/node_modules").symlink_to(CLIENT / "node_modules")
    output = tmp_path / "mesh.glb"
    command = [node(), str(shipped / "client/generate.js"), PROMPT, "--seed", str(SEED), "-o", str(output)]
    command += ["--texture", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "triangles" in done.stdout, done.stderr
    made = trimesh.load(output, force="mesh", process=False, skip_materials=True)
    expected = Bundle.open(folder).generate(PROMPT, SEED)
    upright = expected.vertices @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    assert made.is_watertight and made.volume > 0 and made.visual.kind == "vertex"
    distance = np.linalg.norm(np.asarray(made.vertices)[:, None] - upright[None], axis=2)
    assert distance.min(axis=1).max() < 1e-3 and distance.min(axis=0).max() < 1e-3


def test_the_lines_in_the_readme_of_bundles_make_what_generate_makes(web_bundles, tmp_path):
    shipped = shutil.copytree(web_bundles["fp32"].out, tmp_path / "bundle")
    (shipped / "client/node_modules").symlink_to(CLIENT / "node_modules")
    lines = re.search(r"^    import .*?(?=\n\n\S)", README.read_text(), re.MULTILINE | re.DOTALL).group()
    check = """
    const other = toGlb(await bundle.generate("a red chair", { seed: 0, grid: 64 }));
    console.log(latents.dims.length, glb.length > 1000, Buffer.compare(glb, other));
    """
    (shipped / "made.mjs").write_text(lines + check)
    done = subprocess.run([node(), "made.mjs"], cwd=shipped, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["3", "true", "0"], done.stderr


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ('{ grid: "24" }', "grid: "),
        ("{ grid: 24.5 }", "grid: "),
        ('{ quality: "ultra" }', "quality: "),
        ("{ seed: 1.5 }", "seed: "),
        ('{ exact: "no" }', "exact: "),
    ],
)
def test_what_is_not_taken_is_refused_before_anything_runs(web_bundles, options, refused):
    script = (
        OPEN
        + f"""
    bundle.session = () => {{ throw new Error("a program was opened"); }};
    tell(await bundle.generate("a red chair", {options}).catch((error) => [error.name, error.message]));
    """
    )
    kind, told = run_node(script, {"bundle": str(web_bundles["fp32"].out)})
    assert kind == "RangeError" and told.startswith(refused)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a chair", "-o", "z.obj"], "z.obj: this writes .glb files only"),
        (["a chair", "--grid", "24.5"], 'grid: a whole number from 8 to 512 is expected, not "24.5"'),
        (["a chair", "--grid", ""], 'grid: a whole number from 8 to 512 is expected, not ""'),
        (["a chair", "--quality", "ultra"], 'quality: no "ultra"'),
        (["a chair", "--texture", "256"], 'texture: no "256"; allowed: none, palette'),
        (["a chair", "--seed", "x"], 'seed: a whole number from 0 to 2^64 - 1 is expected, not "x"'),
        ([" "], "prompt: words"),
    ],
)
def test_the_command_refuses_before_it_opens_a_bundle(tmp_path, arguments, told):
    command = [node(), str(CLIENT / "generate.js"), *arguments, "--bundle", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {told}") and not list(tmp_path.iterdir())


def test_a_bundle_on_a_server_is_opened_by_its_address(web_bundles):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    serve = partial(Quiet, directory=str(web_bundles["fp32"].out))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        script = OPEN + 'tell((await bundle.make({ prompt: given.prompt }).tensor("embedding")).dims);'
        assert run_node(script, {"bundle": address, "prompt": PROMPT})[0] == 1
        script = 'import { WebBundle } from "./index.js";\n'
        script += 'tell(await WebBundle.open(given).then(() => "opened", (error) => error.message));'
        assert "manifest.json: cannot be read (404" in run_node(script, f"{address}/nothing")
        server.shutdown()


def test_a_changed_file_is_refused(web_bundles, tmp_path):
    folder = shutil.copytree(web_bundles["fp32"].out, tmp_path / "bundle")
    program = folder / "projector/program.onnx"
    program.write_bytes(program.read_bytes()[:-1] + b"\0")
    script = OPEN + 'tell(await bundle.session("projector").then(() => "opened", (error) => error.message));'
    assert "projector/program.onnx: changed" in run_node(script, {"bundle": str(folder)})


def refusal(folder: Path) -> str:
    script = 'import { WebBundle } from "./index.js";\n'
    script += 'tell(await WebBundle.open(given).then(() => "opened", (error) => error.message));'
    return run_node(script, str(folder))


def test_a_bundle_of_another_schema_is_refused(web_bundles, tmp_path):
    manifest = json.loads((web_bundles["fp32"].out / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 1}))
    assert "schema version 1; this client reads version 2" in refusal(tmp_path)


def test_a_bundle_of_another_target_is_refused(web_bundles, tmp_path):
    manifest = read_manifest(web_bundles["fp32"].out)
    write_manifest(tmp_path, manifest.model_copy(update={"target": {"name": "cpu", "backend": "onnxruntime"}}))
    assert "built for 'cpu'; build it with --target web" in refusal(tmp_path)


def test_weights_beside_the_program_are_read(web_bundles, tmp_path):
    folder = shutil.copytree(web_bundles["fp32"].out, tmp_path / "bundle")
    path = folder / "projector/program.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="program.onnx.data", size_threshold=1024)
    manifest = read_manifest(folder)
    stage = manifest.stages["projector"].model_copy(update={"external_data": ["projector/program.onnx.data"]})
    stages = manifest.stages | {"projector": stage}
    write_manifest(folder, manifest.model_copy(update={"stages": stages, "files": list_files(folder)}))
    script = (
        OPEN
        + """
    import { unitNoise } from "./run.js";
    const latents = unitNoise(0, bundle.manifest.stages.denoiser.sampling.latents.shape.slice(1));
    const before = await new Run(bundle, { latents }).tensor("mlp_0_weight");
    await bundle.release();
    const again = await new Run(bundle, { latents }).tensor("mlp_0_weight");
    tell({ shape: before.dims, again: before.data.every((value, i) => value === again.data[i]) });
    """
    )
    shape = read_manifest(folder).stages["projector"].outputs[0].shape
    found = run_node(script, {"bundle": str(folder)})
    assert found["shape"][1:] == list(shape)[1:] and found["again"]


def test_the_packages_are_pinned_and_come_from_the_registry():
    package = json.loads((CLIENT / "package.json").read_text())
    lock = json.loads((CLIENT / "package-lock.json").read_text())
    assert all(version[0].isdigit() for version in package["dependencies"].values())
    for name, version in package["dependencies"].items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    resolved = [entry.get("resolved", "https://registry.npmjs.org/") for entry in lock["packages"].values()]
    assert all(address.startswith("https://registry.npmjs.org/") for address in resolved)


def test_a_browser_finds_everything_that_the_client_imports():
    seen, left = set(), {"index.js"}
    while left:
        name = left.pop()
        seen.add(name)
        imported = re.findall(r'^(?:import|export) .*from "(.+)";$', (CLIENT / name).read_text(), re.MULTILINE)
        assert all(module.startswith("./") for module in imported), name
        left |= {module.removeprefix("./") for module in imported} - seen
    assert {"bundle.js", "marching_cubes.js", "noise.js", "packages.js"} <= seen and "generate.js" not in seen
    source = "".join((CLIENT / name).read_text() for name in sorted(seen))
    # By name, but for Node.js's own and for the copies beside the client.
    named = {
        "/".join(name.split("/")[: 2 if name[0] == "@" else 1])
        for name in re.findall(r'import\("([a-z@][^":]*)"\)', source)
    }
    # The page alone draws with three.
    assert {*named, "three"} == set(json.loads((CLIENT / "package.json").read_text())["dependencies"])


def test_the_bundle_has_the_client_and_what_its_page_needs(web_bundles):
    names = {name for name in read_manifest(web_bundles["int8"].out).files if name.startswith("client/")}
    left_out = {f"client/{path.name}" for path in CLIENT.iterdir() if path.is_file()} - names
    assert left_out == {"client/runtime_webgpu.js"}
    assert {"client/index.html", "client/page/page.js", "client/packages/onnxruntime-web.js"} <= names
    source = (web_bundles["int8"].out / "client/noise.js").read_bytes()
    assert hashlib.sha256(source).digest() == hashlib.sha256((CLIENT / "noise.js").read_bytes()).digest()
