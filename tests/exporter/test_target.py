from __future__ import annotations

import pytest

from exporter.errors import RecipeError
from exporter.target import Need, list_targets, load_target, require_complete, target_names

EXPECTED = {"cpu", "cpu-openvino", "cuda", "orin", "orin-nano", "t4", "rtx", "h200", "android", "ios", "arm64", "web",
            "cpu-executorch"}  # fmt: skip


def test_every_shipped_target_loads_under_its_own_name():
    assert {target.name for target in list_targets()} == EXPECTED == set(target_names())
    states = [target.status for target in list_targets()]
    assert states == sorted(states) and states[0] == "complete"


def test_tensorrt_reads_opset_20():
    assert {target.opset for target in list_targets() if target.backend == "tensorrt"} == {20}


def test_a_planned_target_is_refused_with_what_there_is():
    require_complete(load_target("cpu"))
    with pytest.raises(RecipeError, match=r"'orin' .* is planned: not built by this version.* built: .*cpu"):
        require_complete(load_target("orin"))


def test_a_misspelt_target():
    with pytest.raises(RecipeError, match="did you mean 'orin-nano'"):
        load_target("orin_nano")


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


def test_needs_are_looked_for():
    package = Need(kind="package", name="numpy", used_for="x", side="run")
    assert not package.missing()
    assert package.model_copy(update={"name": "no-such-package-here"}).missing()
    assert package.model_copy(update={"kind": "tool", "name": "no-such-tool-here"}).missing()
    assert not package.model_copy(update={"kind": "device", "name": "moon"}).missing()
