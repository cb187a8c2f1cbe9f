"""What is installed: packages that collide with no other, one with recipes, one for apps that has only the runtime. The
wheels themselves are built in test_distributions.py and installed in tests/t3export/test_fresh_environment.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.clip_words import clip_tokenizer_file
from tests.toy_bundle import TOKENIZER, WORDS, write_toy_bundle

ROOT = Path(__file__).parent.parent
WITHOUT_A_CHECKOUT = """
import os, sys
sys.path[:] = [{tree!r}, *(place for place in sys.path if place and not os.path.isdir(place + "/exporter"))]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
"""


@pytest.fixture(scope="module")
def hatch_build():
    """The hook, whose base class is the build tool's and not installed here."""
    names = ["hatchling", "builders", "hooks", "plugin", "interface"]
    stubs = {".".join(names[: i + 1]): ModuleType(names[i]) for i in range(len(names))}
    stubs[".".join(names)].BuildHookInterface = object
    with pytest.MonkeyPatch.context() as patched:
        for name, stub in stubs.items():
            patched.setitem(sys.modules, name, stub)
        patched.syspath_prepend(str(ROOT))
        patched.delitem(sys.modules, "hatch_build", raising=False)
        import hatch_build

        yield hatch_build


@pytest.fixture(scope="module")
def tree(hatch_build, tmp_path_factory):
    """What is installed, beside a package that is called as one of our folders."""
    site = tmp_path_factory.mktemp("site")
    hatch_build.write_tree(ROOT, site / "t3export")
    (site / "validate.py").write_text("class Validator: pass\n")
    return site


@pytest.fixture(scope="module")
def runtime(hatch_build, tmp_path_factory):
    """What an app installs, with no other of our packages beside it."""
    site = tmp_path_factory.mktemp("app")
    hatch_build.write_runtime(ROOT, site / "t3export_runtime")
    return site


def call(tree: Path, cwd: Path, code: str) -> str:
    script = WITHOUT_A_CHECKOUT.format(tree=str(tree)) + code
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_is_installed_but_one_package(tree):
    assert {path.name for path in tree.iterdir()} == {"t3export", "validate.py"}
    assert not list(tree.rglob("node_modules")) and not list(tree.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("source", "installed"),
    [
        ("from exporter.errors import T3Error\n", "from t3export.exporter.errors import T3Error\n"),
        ("if 1:\n  import exporter\n", "if 1:\n  from t3export import exporter as exporter\n"),
        ("import exporter as exporter\n", "from t3export import exporter as exporter\n"),
        ("import exporter.runtime\n", "import t3export.exporter.runtime; from t3export import exporter as exporter\n"),
        ('HOME = "exporter.runtime.bundle"\n', 'HOME = "t3export.exporter.runtime.bundle"\n'),
        ('"""python -m validate.bench"""\n', '"""python -m t3export.validate.bench"""\n'),
        ("exporters = validated = 1\n", "exporters = validated = 1\n"),
    ],
)
def test_names_of_our_floors_become_those_that_are_installed(hatch_build, source, installed):
    assert hatch_build.renamed(source) == installed


def test_an_import_that_would_be_left_is_refused(hatch_build):
    with pytest.raises(ValueError, match="validate"):
        hatch_build.renamed("import json, validate\n")


def test_a_package_of_the_same_name_is_left_alone_and_ours_does_not_need_its_own(tree, tmp_path):
    code = """
from validate import Validator
from t3export import Bundle, load_recipe
import t3export.exporter.machine.fresh_python as fresh
from t3export.exporter.families.registry import stage_names
from t3export.exporter.backends import known
import t3export.validate.prove, t3export.validate.ladder.ladder
print(fresh.ROOT, stage_names("shap-e")[0], "exporter" in sys.modules)
"""
    assert call(tree, tmp_path, code).split() == [str(tree), "text_encoder", "False"]


def test_recipes_come_along_and_are_named(tree, tmp_path):
    verb = "from t3export.cli import run\nsys.exit(run({}))"
    listed = json.loads(call(tree, tmp_path, verb.format(["recipe", "list", "--json"])))
    assert set(listed) == {path.stem for path in (ROOT / "recipes").glob("*.yaml")} and all(listed.values())
    checked = json.loads(call(tree, tmp_path, verb.format(["recipe", "check", "shape_e_int8", "--json"])))
    assert checked["valid"] and checked["recipe"] == "shape_e_int8"


def test_a_bundle_is_opened_and_measured_in_a_process_of_its_own(tree, toy_bundle, tmp_path):
    code = f"""
from t3export import Bundle
from t3export.exporter.machine.fresh_python import module_command
import subprocess
mesh = Bundle.open({str(toy_bundle)!r}).generate("a red ball", grid=8)
command = module_command("t3export.exporter.runtime.measure", {str(toy_bundle)!r})
print(len(mesh.faces) > 0, subprocess.run(command, capture_output=True, text=True, check=True).stdout)
"""
    made, _, measured = call(tree, tmp_path, code).partition(" ")
    assert made == "True" and json.loads(measured)["stages"] == {}


ROOMS_OF_THE_RUNTIME = {"errors.py", "files", "machine", "manifest.py", "pipeline", "recipe", "runtime", "__init__.py"}
NOT_FOR_APPS = {"torch", "onnx", "scipy", "skimage", "tokenizers", "yaml", "click", "rich", "cryptography", "exporter"}


def test_an_app_installs_the_runtime_and_none_of_what_builds(runtime):
    package = runtime / "t3export_runtime"
    assert {path.name for path in package.iterdir()} == {"__init__.py", "py.typed", "exporter"}
    assert {path.name for path in (package / "exporter").iterdir()} == ROOMS_OF_THE_RUNTIME
    assert {path.name for path in (package / "exporter/recipe").iterdir()} == {"__init__.py", "precision.py"}
    assert {path.suffix for path in package.rglob("*") if path.is_file()} <= {".py", ".typed"}
    assert sum(path.stat().st_size for path in package.rglob("*.py")) < 400_000


def test_an_app_makes_and_saves_a_mesh_with_the_runtime_alone(runtime, tmp_path):
    """Of a bundle with CLIP's tokenizer; nothing but what the distribution depends on is imported."""
    bundle = write_toy_bundle(tmp_path / "bundle")
    (bundle / TOKENIZER).write_bytes(clip_tokenizer_file(WORDS, begin=1, end=2, unknown="a"))
    code = f"""
for name in {NOT_FOR_APPS!r}: sys.modules[name] = None
from t3export_runtime import Bundle
ball = Bundle.open({str(bundle)!r}, verify=False).generate("a red ball", seed=3, grid=16)
print(*ball.save("ball.glb", texture=False), *ball.save("ball.stl"), len(ball.faces) > 0, ball.colors[0].round(2))
"""
    assert call(runtime, tmp_path, code) == "ball.glb ball.stl True [1. 0. 0.]\n"
    assert (tmp_path / "ball.glb").read_bytes().startswith(b"glTF")


def test_what_an_app_lacks_is_named_by_its_own_distribution(runtime, tmp_path):
    code = """
from t3export_runtime.exporter.runtime.assets.optional import PACKAGES, optional
PACKAGES["nowhere"] = ("a test", "mesh")
try: optional("nowhere")
except Exception as error: print(error)
"""
    assert "pip install 't3export-runtime[mesh]'" in call(runtime, tmp_path, code)


def test_the_two_distributions_agree():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")
    projects = ("pyproject.toml", "distributions/runtime/pyproject.toml")
    whole, runtime = (tomllib.loads((ROOT / name).read_text())["project"] for name in projects)
    assert runtime["version"] == whole["version"] and runtime["requires-python"] == whole["requires-python"]
    assert set(runtime["dependencies"]) < set(whole["dependencies"])
    extras = runtime["optional-dependencies"]
    assert extras == {name: whole["optional-dependencies"][name] for name in extras}
