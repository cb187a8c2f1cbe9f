"""The files that are published, as the build tool makes them: wheels and sdist, by their contents."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed (pip install .[dev])")

ROOT = Path(__file__).parents[1]


def build(kind: str, project: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    """The folder that pip builds from."""
    with tarfile.open(sdist) as packed:
        packed.extractall(folder := tmp_path_factory.mktemp("unpacked"))
    (source,) = folder.iterdir()
    return source


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def runtime(unpacked, tmp_path_factory):
    return build("wheel", unpacked / "distributions/runtime", tmp_path_factory.mktemp("runtime"))


def tops(names: list[str], depth: int) -> set[str]:
    return {"/".join(PurePosixPath(name).parts[:depth]) for name in names if not name.endswith("/")}


def test_the_sdist_has_the_source_and_nothing_that_was_made(unpacked):
    assert {path.name for path in unpacked.iterdir()} == {
        *("distributions", "exporter", "recipes", "t3export", "validate"),
        *("hatch_build.py", "pyproject.toml", ".gitignore", "PKG-INFO", "README.md", "CHANGELOG.md", "LICENSE"),
    }
    assert not [path for path in unpacked.rglob("*") if path.name in ("node_modules", "__pycache__")]


def test_the_wheel_has_one_package_with_the_recipes_and_the_small_models(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert tops(names, 1) == {"t3export", "t3export-0.1.0.dist-info"}
    assert {"t3export/py.typed", "t3export/recipes/shape_e_int8.yaml", "t3export/cli.py"} <= set(names)
    assert {"t3export/exporter", "t3export/validate", "t3export/recipes", "t3export/commands"} <= tops(names, 2)
    assert any(name.startswith("t3export/exporter/zoo/shap_e_mini/") for name in names)
    assert "t3export/exporter/runtime/web/index.js" in names
    assert not [name for name in names if "node_modules" in name or "/tests/" in name or name.endswith(".pyc")]


def test_the_runtimes_wheel_has_only_modules_and_is_small(runtime):
    names = zipfile.ZipFile(runtime).namelist()
    assert tops(names, 1) == {"t3export_runtime", "t3export_runtime-0.1.0.dist-info"}
    assert "t3export_runtime/py.typed" in names and "t3export_runtime-0.1.0.dist-info/licenses/LICENSE" in names
    assert not [name for name in names if "/zoo/" in name or "/web/" in name or name.endswith((".js", ".json"))]
    assert runtime.stat().st_size < 300_000


def test_an_index_takes_their_descriptions(sdist, wheel, runtime):
    pytest.importorskip("twine", reason="twine is not installed (pip install .[dev])")
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel), str(runtime)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 3, done.stdout + done.stderr


def test_the_runtime_is_built_as_a_wheel_alone(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT / "distributions/runtime", capture_output=True, text=True)
    assert done.returncode != 0 and "its source is in the sdist of t3export" in done.stderr
