"""The kit's scripts, run against fakes that refuse what the real trtexec and the real Python API have not."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil

import numpy as np
import onnx
import pytest

from exporter.manifest import require_whole
from exporter.runtime.bundle import Bundle


def read_json(path):
    return json.loads(path.read_text())


def test_a_build_without_gpu_is_a_kit_and_says_so(built_kit):
    engines = built_kit.manifest.engines
    assert engines.state == "to be built on the device" and engines.run[0] == "t3export finish ."
    scripts = {"build_engines.sh", "build_engines.py", "verify.py", "tensorrt_engine.py", "cuda_runtime.py"}
    assert {"kit.json", *scripts} < built_kit.manifest.files.keys()
    assert require_whole(built_kit.out) == built_kit.manifest


def test_the_scripts_suit_the_python_of_jetpack_6(built_kit):
    for path in built_kit.out.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 10))


def test_nothing_is_left_to_be_filled_in(built_kit):
    for name in ("README.md", "build_engines.sh"):
        assert not re.search("@[A-Z]+@", (built_kit.out / name).read_text())
    assert "Jetson AGX Orin with JetPack 6.1 or newer, TensorRT 10.3" in (built_kit.out / "README.md").read_text()


def test_programs_are_half_precision_and_plain_qdq(built_kit):
    precisions = {name: stage.precision for name, stage in built_kit.manifest.stages.items()}
    assert precisions == {
        "text_encoder": "int8", "denoiser": "int8", "projector": "int8", "field": "fp16", "renderer": "fp16"
    }  # fmt: skip
    for name in precisions:
        model = onnx.load(built_kit.out / name / "program.onnx")
        assert {one.version for one in model.opset_import} == {20} and model.ir_version <= 10
        operators = {node.op_type for node in model.graph.node}
        assert not operators & {"MatMulInteger", "DynamicQuantizeLinear", "Attention", "Loop"}


def test_every_quantized_layer_is_a_product_that_has_to_run_in_int8(built_kit):
    kit = read_json(built_kit.out / "kit.json")
    products = {name: stage["int8_products"] for name, stage in kit["stages"].items()}
    layer = "text_encoder/model.text_model.encoder.layers.0.self_attn"
    assert f"{layer}.q_proj+k_proj+v_proj/MatMul" in products["text_encoder"]
    joined = [part for name in products["denoiser"] for part in name.split("+")]
    assert len(joined) == list(built_kit.manifest.stages["denoiser"].layers.values()).count("int8")
    assert len(products["projector"]) == 4 and not products["field"]


@pytest.mark.parametrize("builder", [("bash", "build_engines.sh"), ("python", "build_engines.py")], ids=["sh", "py"])
def test_the_scripts_build_and_verify(device, kit, builder):
    built = device.run(kit, *builder)
    assert built.returncode == 0, built.stderr
    assert sorted(path.name for path in (kit / "engines").iterdir()) == [
        "denoiser.plan", "field.plan", "projector.plan", "renderer.plan", "text_encoder.plan", "timing.cache"
    ]  # fmt: skip
    verified = device.run(kit, "python", "verify.py")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report = read_json(kit / "reports/device.json")
    assert report["passed"] and report["device"]["tensorrt"].startswith(device.environment["FAKE_TENSORRT_VERSION"])
    assert all(stage["milliseconds"]["median"] > 0 for stage in report["stages"].values())
    assert report["stages"]["denoiser"]["int8"]["floating_point"] == 0 < report["stages"]["denoiser"]["int8"]["int8"]


def test_both_builders_ask_for_the_same_profiles(orin, kit, tmp_path):
    other = shutil.copytree(kit, tmp_path / "other")
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    assert orin.run(other, "python", "build_engines.py").returncode == 0
    for plan in (kit / "engines").glob("*.plan"):
        told = read_json(other / "engines" / plan.name)["profile"]
        told.pop("step", None)  # Polygraphy speaks of inputs of one shape too
        assert read_json(plan)["profile"] == told != {}


def test_one_stage_alone(orin, kit):
    for command in (("bash", "build_engines.sh"), ("python", "build_engines.py")):
        assert orin.run(kit, *command, "field").returncode == 0
        assert [path.name for path in (kit / "engines").glob("*.plan")] == ["field.plan"]
    unknown = orin.run(kit, "python", "build_engines.py", "feild")
    assert unknown.returncode == 1 and "no stage feild" in unknown.stderr


def test_a_failing_trtexec_is_told_with_its_log_and_leaves_no_engine(orin, kit):
    failed = orin.run(kit, "bash", "build_engines.sh", FAKE_TRTEXEC_FAILS="1")
    assert failed.returncode == 1 and "trtexec failed on text_encoder: reports/build_text_encoder.log" in failed.stderr
    assert not list((kit / "engines").glob("*"))


def test_without_trtexec(orin, kit):
    failed = orin.run(kit, "bash", "build_engines.sh", TRTEXEC="/nowhere/trtexec")
    assert failed.returncode == 6 and "sudo apt install nvidia-jetpack" in failed.stderr


@pytest.mark.parametrize(
    ("environment", "code", "told"),
    [
        ({"FAKE_ERROR": "0.9"}, 5, "FAILED embedding of goldens/text_encoder_000.npz: 0.9 dB, 5.0 wanted"),
        ({"FAKE_NO_INT8": "1"}, 5, "FAILED not in INT8: text_encoder/model.text_model.encoder.layers.0.self_attn"),
        ({"FAKE_COMPUTE_CAPABILITY": "7.2"}, 6, "this GPU has compute capability 7.2; the kit is for 8.7 (orin)"),
    ],
)
def test_what_is_wrong_with_engines_is_told(orin, kit, environment, code, told):
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    verified = orin.run(kit, "python", "verify.py", **environment)
    assert verified.returncode == code
    assert told in verified.stdout + verified.stderr


def test_verify_before_building(orin, kit):
    verified = orin.run(kit, "python", "verify.py")
    assert verified.returncode == 6 and "not built yet. First: bash build_engines.sh" in verified.stderr


def test_verify_without_tensorrt(orin, kit):
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    verified = orin.run(kit, "python", "verify.py", PYTHONPATH="")
    assert verified.returncode == 6 and "use the system's: /usr/bin/python3 verify.py" in verified.stderr


@pytest.mark.parametrize(
    ("script", "package"),
    [("verify.py", "numpy"), ("build_engines.py", "polygraphy"), ("build_engines.py", "tensorrt")],
)
def test_a_script_names_the_package_it_lacks_and_how_to_install_it(orin, kit, tmp_path, script, package):
    without = tmp_path / "without"
    without.mkdir()
    (without / f"{package}.py").write_text(f"raise ModuleNotFoundError('gone', name={package!r})")
    path = os.pathsep.join([str(without), orin.environment["PYTHONPATH"]])
    told = orin.run(kit, "python", script, PYTHONPATH=path)
    assert told.returncode == 6 and "Traceback" not in told.stderr
    assert f"no package '{package}'" in told.stderr and f"/usr/bin/python3 {script}" in told.stderr


@pytest.mark.parametrize("safe_path", ["", "1"])
def test_no_module_that_happens_to_lie_in_the_folder_is_taken(orin, kit, safe_path):
    for name in ("statistics", "numpy", "json", "platform"):
        (kit / f"{name}.py").write_text("raise SystemExit('planted')")
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    for script in ("build_engines.py", "verify.py"):
        done = orin.run(kit, "python", script, PYTHONSAFEPATH=safe_path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_says_what_it_takes_and_ends_in_a_mesh(built_kit):
    page = (built_kit.out / "README.md").read_text()
    megabytes = int(re.search(r"Disk: (\d+) MB", page)[1])
    present = sum(path.stat().st_size for path in built_kit.out.rglob("*") if path.is_file())
    weights = sum(stage.size for stage in built_kit.manifest.stages.values())
    assert abs(megabytes * 1e6 - present - weights) < 2e6
    assert "up to 4096 MB of scratch memory" in page and "about 5 to 25 minutes to build 5 engines" in page
    commands = [line.split("  ")[0] for line in re.findall(r"^    (t3export .*)$", page, re.MULTILINE)]
    assert commands == [
        "t3export finish .", 't3export run . --prompt "a red chair" -o chair.glb', "t3export validate . --no-quality"
    ]  # fmt: skip


def test_an_engine_of_another_tensorrt(orin, kit):
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    (kit / "engines/text_encoder.plan").write_bytes(b"another version's")
    verified = orin.run(kit, "python", "verify.py")
    assert verified.returncode == 6 and "Build it again: bash build_engines.sh" in verified.stderr


def test_the_programs_run_here_on_a_stand_in(built_kit):
    bundle = Bundle.open(built_kit.out, stand_in="onnxruntime")
    assert bundle.stand_in == "onnxruntime"
    assert bundle.make({"prompt": "a red chair"})["embedding"].dtype == np.float32
