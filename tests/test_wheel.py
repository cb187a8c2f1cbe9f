"""What is installed: one package that collides with no other, and brings recipes along. The wheel itself is built in
tests/t3export/test_fresh_environment.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

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
