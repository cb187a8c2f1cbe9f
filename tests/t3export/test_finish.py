"""`t3export finish`, and `run`, `validate` and `inspect` of a bundle whose engines are still to be built."""

from __future__ import annotations

import json

import pytest

from exporter.manifest import EnginePart, EnginesPart, read_manifest, write_manifest
from exporter.targets.target import load_target
from t3export.cli import run
from t3export.kits import to_do

TO_RUN = ["t3export finish .", "bash build_engines.sh && python3 verify.py"]
KIT = EnginesPart(state="to be built on the device", run=TO_RUN)


@pytest.fixture
def kit(own_bundle):
    """The toy bundle as one for the Orin."""
    target = load_target("orin").model_dump(mode="json")
    write_manifest(own_bundle, read_manifest(own_bundle).model_copy(update={"target": target, "engines": KIT}))
    return own_bundle


def test_what_is_left_to_do_can_be_copied(kit):
    lines = to_do(kit, read_manifest(kit))
    assert lines[0] == "engines: to be built on the device (Jetson AGX Orin with JetPack 6.1 or newer)"
    assert f"rsync -a {kit}/ DEVICE:toy_cpu/" in lines[1]
    assert "t3export as a wheel: README.md in the folder" in lines[2]
    assert "cd toy_cpu && t3export finish ." in lines[3]
    assert "cd toy_cpu && bash build_engines.sh && python3 verify.py" in lines[4]
    assert f"t3export validate {kit} --on onnxruntime" in lines[5]


def test_a_mesh_needs_engines_or_a_stand_in(kit, tmp_path, capsys):
    arguments = ["run", str(kit), "--prompt", "a red ball", "-o", str(tmp_path / "ball.glb"), "--grid", "16"]
    assert run(arguments) == 4
    told = " ".join(capsys.readouterr().err.split())
    assert "engines are to be built on the device (orin)" in told and "--on onnxruntime" in told
    assert run([*arguments, "--on", "onnxruntime"]) == 0
    assert (tmp_path / "ball.glb").exists()


def test_inspect_says_what_is_to_be_done(kit, capsys):
    assert run(["inspect", str(kit)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"engines to be built on the device: `{TO_RUN[0]}` or `{TO_RUN[1]}`" in told


def test_inspect_of_built_engines_tells_device_and_times(kit, capsys):
    part = EnginePart(file="field.onnx", milliseconds=1.25, worst_snr_db=48.0, int8_products=0)
    device = {"board": "NVIDIA Jetson AGX Orin", "tensorrt": "10.3.0"}
    built = EnginesPart(state="built", device=device, stages={"field": part})
    write_manifest(kit, read_manifest(kit).model_copy(update={"engines": built}))
    assert run(["inspect", str(kit)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "built on NVIDIA Jetson AGX Orin with TensorRT 10.3.0: field 1.25 ms" in told


def test_finish_where_nothing_is_to_be_finished(toy_bundle, capsys):
    assert run(["finish", str(toy_bundle)]) == 4
    assert "nothing to finish" in capsys.readouterr().err


def test_finish_prints_engines_and_what_is_missing(kit, monkeypatch, capsys):
    from exporter.backends.tensorrt.finish import Finished

    part = EnginePart(file="field.onnx", milliseconds=1.25, worst_snr_db=None, int8_products=3)
    built = EnginesPart(state="built", device={"tensorrt": "10.3.0"}, stages={"field": part})
    manifest = read_manifest(kit).model_copy(update={"engines": built})

    def fake(folder, python, rebuild, on_line):
        on_line("== field: building")
        return Finished(manifest, ["field"])

    monkeypatch.setattr("t3export.commands.finish.finish", fake)
    assert run(["finish", str(kit)]) == 0
    out, err = capsys.readouterr()
    assert "exact" in out and "1.25 ms" in out and "tensorrt 10.3.0" in out and "== field: building" in err
    assert f't3export run {kit} --prompt "a red chair" -o chair.glb\n  t3export validate {kit} --no-quality\n' in out
    assert run(["finish", str(kit), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engines"]["stages"]["field"]["int8_products"] == 3
