from __future__ import annotations

import pytest

from exporter.errors import RecipeError
from exporter.targets.target import (
    Need,
    Target,
    list_targets,
    load_target,
    require_complete,
    require_measurable,
    target_names,
)

EXPECTED = {"cpu", "cpu-openvino", "cpu-openvino-bf16", "cuda", "orin", "orin-nano", "t4", "rtx", "h200",
            "android", "android-vulkan", "ios", "ios-coreml", "arm64", "web", "webgpu", "cpu-executorch"}  # fmt: skip


def test_every_shipped_target_loads_under_its_own_name():
    assert {target.name for target in list_targets()} == EXPECTED == set(target_names())
    statuses = [target.status for target in list_targets()]
    assert statuses == sorted(statuses)


def test_tensorrt_reads_opset_20():
    assert {target.opset for target in list_targets() if target.backend == "tensorrt"} == {20}


def test_a_planned_target_is_refused_with_what_there_is():
    require_complete(load_target("cpu"))
    planned = load_target("cpu").model_copy(update={"name": "board", "status": "planned"})
    with pytest.raises(RecipeError, match=r"'board' .* is planned: not built by this version.* built: .*cpu"):
        require_complete(planned)


def test_what_quantization_costs_is_not_measured_for_a_device():
    require_measurable(load_target("cpu"))
    with pytest.raises(RecipeError, match=r"'orin' runs on its own device \(tensorrt\).*Use --target cpu"):
        require_measurable(load_target("orin"))


def test_tensorrt_needs_its_gpus_and_half_precision(tmp_path):
    path = tmp_path / "board.yaml"
    path.write_text(
        "name: board\ndescription: my board\nbackend: tensorrt\nprocessor: cuda\nstatus: complete\n"
        "opset: 20\nprecisions: [int8]\nrendering: fp16\n"
    )
    with pytest.raises(RecipeError, match="tensorrt needs `rendering: fp16` and a section `tensorrt`"):
        load_target(path)
    path.write_text(path.read_text() + 'tensorrt: {compute_capabilities: ["8.7"]}\n')
    assert load_target(path).tensorrt.workspace_mb == 4096


def test_bf16_is_openvinos_alone():
    assert {target.name: target.unquantized for target in list_targets() if target.unquantized != "fp32"} == {
        "cpu-openvino-bf16": "bf16", **dict.fromkeys(["orin", "orin-nano", "t4", "rtx", "h200"], "fp16")
    }  # fmt: skip
    assert load_target("cpu-openvino-bf16").in_fp32.unquantized == "fp32"
    other = load_target("cpu-openvino-bf16").model_dump() | {"backend": "onnxruntime"}
    with pytest.raises(ValueError, match="bf16 goes with the backend openvino alone"):
        Target.model_validate(other)


def test_a_misspelt_target():
    with pytest.raises(RecipeError, match="did you mean 'orin-nano'"):
        load_target("orin_nano")


def test_auto_is_for_build():
    with pytest.raises(RecipeError, match=r"target 'auto' is for `t3export build`, which chooses one; allowed: .*cpu"):
        load_target("auto")


def test_a_users_own_target_by_path(tmp_path):
    path = tmp_path / "board.yaml"
    path.write_text(
        "name: board\ndescription: my board\nbackend: onnxruntime\nprocessor: cpu\nstatus: complete\n"
        "opset: 23\nprecisions: [fp32]\nsession: {threads: 2}\n"
    )
    assert load_target(path).session.threads == 2
    path.write_text(path.read_text().replace("threads", "treads"))
    with pytest.raises(RecipeError, match=r"board\.yaml:8: session\.treads: unknown field.*did you mean 'threads'"):
        load_target(str(path))


def test_a_precision_is_taken_or_refused_with_a_reason(tmp_path):
    target = load_target("cuda")
    assert target.reason_against("fp32") is None
    assert "MatMulInteger" in target.reason_against("int8")
    bare = target.model_copy(update={"refused": {}})
    assert bare.reason_against("int8") == "not offered for this target"
    path = tmp_path / "board.yaml"
    path.write_text(
        "name: board\ndescription: my board\nbackend: onnxruntime\nprocessor: cpu\nstatus: complete\n"
        "opset: 23\nprecisions: [fp32, int8]\nrefused: {int8: too slow}\n"
    )
    with pytest.raises(RecipeError, match="int8 cannot be among the precisions and refused"):
        load_target(path)
    path.write_text(path.read_text().replace("{int8: too slow}", "{int9: too slow}"))
    with pytest.raises(RecipeError, match=r"no precision 'int9'.*did you mean 'int8'"):
        load_target(path)


def test_needs_are_looked_for():
    package = Need(kind="package", name="numpy", used_for="x", side="run")
    assert not package.missing() and package.found
    assert package.model_copy(update={"name": "no-such-package-here"}).missing()
    assert package.model_copy(update={"kind": "tool", "name": "no-such-tool-here"}).missing()
    assert not package.model_copy(update={"kind": "device", "name": "moon"}).missing()


def test_figures_belong_to_what_is_refused(tmp_path):
    path = tmp_path / "board.yaml"
    path.write_text(
        "name: board\ndescription: my board\nbackend: onnxruntime\nprocessor: cpu\nstatus: complete\n"
        "precisions: [int8]\nrefused: {palette: too slow}\nmeasured: {palete: 3 ms}\n"
    )
    with pytest.raises(RecipeError, match=r"measured: 'palete' is not refused; allowed: palette; did you mean"):
        load_target(path)


def test_a_planned_target_says_what_it_waits_for():
    with pytest.raises(RecipeError, match=r"'android-vulkan' .* is planned.*, because the renderer does not lower"):
        require_complete(load_target("android-vulkan"))
