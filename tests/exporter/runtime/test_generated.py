"""What `Bundle.generate` gives: its files, its picture, its words, and how it is watched and stopped."""

from __future__ import annotations

import base64
import doctest
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from exporter.errors import EmptyMesh, RecipeError
from exporter.runtime import bundle as bundle_module
from exporter.runtime import generated
from exporter.runtime.assets import optional
from exporter.runtime.bundle import Bundle
from exporter.runtime.generated import PICTURE_PIXELS, GeneratedObject
from t3export.cli import run


class Stop(Exception):
    pass


@pytest.fixture
def bundle(toy_bundle):
    return Bundle.open(toy_bundle)


@pytest.fixture
def ball(bundle):
    return bundle.generate("a red ball", seed=3)


def test_it_is_saved_as_the_command_line_saves_it(ball, toy_bundle, tmp_path):
    own, told = tmp_path / "own.glb", tmp_path / "told.glb"
    assert ball.save(own) == [own]
    assert run(["run", str(toy_bundle), "--prompt", "a red ball", "--seed", "3", "-o", str(told)]) == 0
    assert own.read_bytes() == told.read_bytes()
    assert trimesh.load(own, force="mesh").visual.material.baseColorTexture is not None


def test_it_is_saved_in_other_ways_too(ball, tmp_path):
    files = ball.save(tmp_path / "ball.obj", texture=64)
    assert sorted(path.name for path in files) == ["ball.mtl", "ball.obj", "ball.png"]
    ball.save(str(tmp_path / "ball.ply"), triangles=100, size=0.08, watertight=True, up="y")
    read = trimesh.load(tmp_path / "ball.ply")
    assert len(read.faces) <= 100 and read.is_watertight and max(read.extents) == pytest.approx(0.08, rel=1e-5)
    ball.save(tmp_path / "bare.glb", texture=False)
    assert trimesh.load(tmp_path / "bare.glb", force="mesh", skip_materials=True).visual.kind == "vertex"
    ball.save(tmp_path / "ball.gif")
    assert Image.open(tmp_path / "ball.gif").n_frames > 1
    ball.save(tmp_path / "ball.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "ball.png")), ball.picture)


def test_without_the_packages_of_a_texture_it_is_saved_with_vertex_colors(ball, tmp_path, monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda *names: False)
    monkeypatch.setattr("exporter.runtime.assets.postprocess.is_installed", lambda *names: False)
    ball.save(tmp_path / "ball.glb")
    assert trimesh.load(tmp_path / "ball.glb", force="mesh", skip_materials=True).visual.kind == "vertex"


@pytest.mark.parametrize(
    ("path", "given", "told"),
    [
        ("ball.doc", {}, "no mesh format ends in '.doc'"),
        ("ball.ply", {"texture": 512}, "a '.ply' file carries no texture; allowed: .glb"),
        ("ball.glb", {"up": "z"}, "in a '.glb' file y is up"),
        ("ball.stl", {"compress": True}, "a '.stl' file is not written compressed; .glb is"),
    ],
)
def test_what_a_format_has_not_is_refused(ball, tmp_path, path, given, told):
    with pytest.raises(RecipeError, match=re.escape(told)):
        ball.save(tmp_path / path, **given)
    assert not list(tmp_path.iterdir())


def test_its_arrays_and_its_picture_are_the_bundles(ball, bundle):
    mesh = bundle.mesh(bundle.make({"prompt": "a red ball"}, 3))
    for name in ("vertices", "faces", "colors"):
        assert np.array_equal(getattr(ball.mesh, name), getattr(mesh, name))
        assert np.array_equal(getattr(ball, name), getattr(mesh, name))
    assert ball.picture.shape == (16, 16, 3) and ball.picture.dtype == np.uint8 and ball.picture is ball.picture
    assert (ball.prompt, ball.seed, ball.is_empty) == ("a red ball", 3, False)
    assert ball.run["latents"].shape == (1, 2, 4)


def test_a_mesh_without_a_renderer_has_a_picture_of_itself(ball):
    pipeline = ball.run.pipeline
    ball.run.pipeline = pipeline.model_copy(update={"assets": {"mesh": pipeline.assets["mesh"]}})
    assert ball.picture.shape == (PICTURE_PIXELS, PICTURE_PIXELS, 3)


def test_of_an_empty_field_there_is_nothing_to_save(bundle, tmp_path):
    nothing = bundle.generate("nothing")
    assert nothing.is_empty and repr(nothing).endswith("0 vertices, 0 triangles>")
    with pytest.raises(EmptyMesh, match="'nothing', seed 0: the field is empty"):
        nothing.save(tmp_path / "nothing.glb")


def test_a_notebook_shows_its_picture_and_its_words(bundle):
    told = bundle.generate("a <ball>")._repr_html_()
    assert "a &lt;ball&gt;" in told and "<ball>" not in told
    data = base64.b64decode(re.search(r"base64,([^\"]+)", told)[1])
    assert Image.open(io.BytesIO(data)).size == (16, 16)


def test_without_a_notebook_its_picture_is_shown(ball, monkeypatch):
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda self, title: shown.append((title, self.size)))
    monkeypatch.setitem(sys.modules, "IPython", None)
    ball.show()
    assert shown == [("a red ball", (16, 16))]


def test_several_prompts_and_seeds_give_what_each_gives_alone(bundle, ball):
    several = bundle.generate(["a blue ball", "a red ball"], seed=[5, 3])
    assert [(one.prompt, one.seed) for one in several] == [("a blue ball", 5), ("a red ball", 3)]
    assert np.allclose(several[1].vertices, ball.vertices, atol=1e-6)
    assert [one.seed for one in bundle.generate(["a ball", "a ball"], seed=7)] == [7, 7]
    assert [one.seed for one in bundle.generate("a ball", seed=range(2))] == [0, 1]
    assert len(bundle.generate(["a ball"])) == 1


@pytest.mark.parametrize(
    ("prompt", "seed", "told"),
    [
        (["a ball"] * 3, [1, 2], "seed: 3 prompts and 2 seeds"),
        ([], 0, "prompt: 0 prompts and 1 seeds"),
        ("a ball", [], "seed: 1 prompts and 0 seeds"),
        (["a ball", ""], 0, "prompt: words that say what to make"),
        ("a ball", [0, -1], "seed: a whole number"),
        ("a ball", "7", "seed: a whole number"),
    ],
)
def test_lists_that_do_not_fit_are_refused_before_anything_runs(bundle, monkeypatch, prompt, seed, told):
    monkeypatch.setattr(Bundle, "session", lambda *_: pytest.fail("a program was opened"))
    with pytest.raises(RecipeError, match=told):
        bundle.generate(prompt, seed)


@pytest.mark.parametrize("exact", [False, True])
def test_progress_is_told_through_sampling_and_meshing(bundle, exact):
    seen = []
    bundle.generate(["a red ball", "a blue ball"], grid=24, exact=exact, on_progress=lambda *at: seen.append(at))
    sampling = [at for at in seen if at[0] == "sampling"]
    meshing = [at for at in seen if at[0] == "mesh"]
    assert sampling == [("sampling", 2, 6), ("sampling", 4, 6), ("sampling", 6, 6)]
    assert [done for _, done, _ in meshing] == sorted(done for _, done, _ in meshing)
    assert {total for *_, total in meshing} == {2 * 24**3} and meshing[-1][1] == 2 * 24**3
    assert len(meshing) >= (8 if exact else 4)


@pytest.mark.parametrize("at", ["sampling", "mesh"])
def test_what_progress_raises_ends_the_work_and_the_bundle_goes_on(bundle, ball, at):
    seen = []

    def stop(what, done, total):
        seen.append(what)
        if what == at:
            raise Stop

    with pytest.raises(Stop):
        bundle.generate("a red ball", seed=3, on_progress=stop)
    assert seen.count(at) == 1 and ("mesh" in seen) == (at == "mesh")
    assert np.array_equal(bundle.generate("a red ball", seed=3).vertices, ball.vertices)


@pytest.mark.parametrize("described", [GeneratedObject, Bundle.generate, Bundle.generate_async])
def test_the_lines_in_its_description_do_what_they_say(bundle, tmp_path, monkeypatch, described):
    monkeypatch.chdir(tmp_path)
    module = generated if described is GeneratedObject else bundle_module
    globs = {**vars(module), "bundle": bundle}
    (test,) = doctest.DocTestFinder(recurse=False).find(described, globs=globs)
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0


def test_opening_a_bundle_imports_no_writer_of_meshes():
    script = "import sys; import exporter.runtime.bundle; print('trimesh' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
