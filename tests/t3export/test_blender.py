from __future__ import annotations

import json

from exporter.blender.extension import OLDEST_NUMPY
from t3export.cli import run


def test_a_bundle_is_packed_and_what_it_needs_is_said(toy_bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["blender", str(toy_bundle)]) == 0
    said = capsys.readouterr()
    assert (tmp_path / "t3export-toy_cpu.zip").is_file() and "pip download -d wheels --find-links wheels" in said.err
    assert "pip wheel --no-deps -w wheels ./distributions/runtime" in said.err
    assert f"numpy=={OLDEST_NUMPY}" in said.err
    assert run(["blender", str(toy_bundle), "-o", "ball.zip", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == "ball.zip" and told["size"] == (tmp_path / "ball.zip").stat().st_size
    assert told["wheels"] == []


def test_another_suffix_and_a_damaged_bundle_are_refused(own_bundle, tmp_path, capsys):
    assert run(["blender", str(own_bundle), "-o", str(tmp_path / "ball.tar")]) == 2
    (own_bundle / "projector.onnx").write_bytes(b"")
    assert run(["blender", str(own_bundle), "-o", str(tmp_path / "ball.zip")]) == 4
    assert not (tmp_path / "ball.zip").exists()
