"""The wheels with the extra `cpu` alone, in environments of their own: pull, verify and run, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from exporter.release.minisign import PublicKey
from exporter.release.publish import publish
from tests.clip_words import clip_tokenizer_file
from tests.pythons import find_python
from tests.releasable import KEY, served, write_releasable
from tests.toy_bundle import TOKENIZER, WORDS, write_toy_bundle

ROOT = Path(__file__).parents[2]
# What an app installs at most, with the runtime of its target.
MEGABYTES = {"cpu": 200, "openvino": 300}


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_wheel(folder: Path, project: Path = ROOT) -> Path:
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder / "wheel", project, cwd=folder)
    (wheel,) = (folder / "wheel").glob("*.whl")
    return wheel


def make_environment(folder: Path, python: str = sys.executable) -> tuple[Path, Path]:
    """Its Python, and where its t3export will be."""
    call(python, "-m", "venv", folder / "venv", cwd=folder)
    return folder / "venv/bin/python", folder / "venv/bin/t3export"


@pytest.mark.slow
def test_beside_a_package_of_the_same_name_a_recipe_that_comes_along_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packages that t3export needs are those of this environment."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "cache"))
    wheel, (python, t3export) = make_wheel(tmp_path), make_environment(tmp_path)
    call(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, "configobj", cwd=tmp_path)
    place = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (place / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path / "elsewhere").mkdir()
    outside = tmp_path / "elsewhere"
    assert "configobj" in call(python, "-c", "from validate import Validator; print(Validator)", cwd=outside)
    call(t3export, "build", "shape_e_fp32", "--set", "sampler.steps=4", "--set", "goldens.prompts=[cup]", cwd=outside)
    bundle = outside / "artifacts/shape_e_fp32/cpu"
    call(t3export, "run", bundle, "--prompt", "a red chair", "--grid", "48", "-o", "chair.glb", cwd=outside)
    assert (outside / "chair.glb").read_bytes().startswith(b"glTF")
    call(python, "-m", "pip", "uninstall", "--quiet", "--yes", "configobj", cwd=outside)
    assert "fp32" in call(t3export, "inspect", bundle, cwd=outside)


@pytest.mark.slow
def test_a_release_is_pulled_and_run_where_torch_was_never_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    publish([write_releasable(tmp_path / "cpu")], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    (tmp_path / "release.pub").write_text(PublicKey.of(KEY).text)
    wheel = make_wheel(tmp_path)
    python, t3export = make_environment(tmp_path)
    call(python, "-m", "pip", "install", "--quiet", f"{wheel}[cpu]", cwd=tmp_path)
    installed = {p["name"] for p in json.loads(call(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path))}
    assert "onnxruntime" in installed and not {"torch", "onnx", "transformers", "diffusers"} & installed
    with served(tmp_path / "store") as (url, _):
        call(t3export, "pull", "toy", "--from", url, "--trust", "release.pub", cwd=tmp_path)
    bundle = tmp_path / "artifacts/pulled/toy/toy/cpu"
    assert "as signed" in call(t3export, "verify", bundle, "--trust", "release.pub", cwd=tmp_path)
    call(t3export, "run", bundle, "--prompt", "a red ball", "-o", "ball.glb", cwd=tmp_path)
    assert (tmp_path / "ball.glb").read_bytes().startswith(b"glTF")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "target", "extra"),
    [("3.10", "cpu-openvino", "openvino"), ("3.11", "cpu", "cpu"), ("3.13", "cpu", "cpu")],
)
def test_what_an_app_installs_is_small_and_makes_a_mesh(
    version: str, target: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.10 has no ONNX Runtime with all operators of INT8 programs."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    interpreter = find_python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} on this machine")
    bundle = write_toy_bundle(tmp_path / "bundle", target=target)
    (bundle / TOKENIZER).write_bytes(clip_tokenizer_file(WORDS, begin=1, end=2, unknown="a"))
    wheel = make_wheel(tmp_path, ROOT / "distributions/runtime")
    python, _ = make_environment(tmp_path, interpreter)
    call(python, "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]", "configobj", cwd=tmp_path)
    place = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    came_along = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    installed = [path for path in place.rglob("*") if path.relative_to(place).parts[0].split("-")[0] not in came_along]
    assert sum(path.stat().st_size for path in installed if path.is_file()) < MEGABYTES[extra] * 1e6
    code = f"""
from validate import Validator
from t3export_runtime import Bundle
ball = Bundle.open({str(bundle)!r}, verify=False).generate("a red ball", seed=3)
print(*ball.save("ball.glb"))
"""
    assert call(python, "-c", code, cwd=tmp_path) == "ball.glb\n"
    assert (tmp_path / "ball.glb").read_bytes().startswith(b"glTF")
