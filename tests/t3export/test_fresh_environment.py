"""The wheel with the extra `cpu` alone, in an environment of its own: pull, verify and run, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.release.minisign import PublicKey
from exporter.release.publish import publish
from tests.releasable import KEY, served, write_releasable

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_release_is_pulled_and_run_where_torch_was_never_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    publish([write_releasable(tmp_path / "cpu")], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    (tmp_path / "release.pub").write_text(PublicKey.of(KEY).text)
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path / "wheel", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    call(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python, t3export = (tmp_path / "venv/bin" / name for name in ("python", "t3export"))
    call(python, "-m", "pip", "install", "--quiet", f"{wheel}[cpu]", cwd=tmp_path)
    installed = {p["name"] for p in json.loads(call(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path))}
    assert "onnxruntime" in installed and not {"torch", "onnx", "transformers", "diffusers"} & installed
    with served(tmp_path / "store") as (url, _):
        call(t3export, "pull", "toy", "--from", url, "--trust", "release.pub", cwd=tmp_path)
    bundle = tmp_path / "artifacts/pulled/toy/toy/cpu"
    assert "as signed" in call(t3export, "verify", bundle, "--trust", "release.pub", cwd=tmp_path)
    call(t3export, "run", bundle, "--prompt", "a red ball", "-o", "ball.glb", cwd=tmp_path)
    assert (tmp_path / "ball.glb").read_bytes().startswith(b"glTF")
