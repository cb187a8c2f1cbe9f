from __future__ import annotations

import pytest

from exporter.targets.stand_in import hardware_elsewhere, stand_in
from exporter.targets.target import load_target


@pytest.mark.parametrize(
    ("target", "machine", "flags", "packages", "here"),
    [
        ("cpu", "x86_64", "avx2", [], True),
        ("arm64", "aarch64", "", [], True),
        ("arm64", "x86_64", "avx512_vnni", [], False),
        ("cpu-openvino", "x86_64", "avx2 avx512_vnni", [], True),
        ("cpu-openvino", "x86_64", "avx2", [], False),
        ("cpu-openvino-bf16", "x86_64", "avx_vnni amx_bf16", [], True),
        ("cpu-openvino-bf16", "x86_64", "avx512_vnni", [], False),
        ("cpu-openvino-bf16", "aarch64", "", [], False),
        ("cuda", "x86_64", "avx2", ["onnxruntime-gpu"], True),
        ("cuda", "x86_64", "avx2", ["onnxruntime"], False),
        ("web", "x86_64", "avx2", ["onnxruntime"], False),
    ],
)
def test_it_says_so_where_this_machine_is_not_the_target(target, machine, flags, packages, here, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("exporter.machine.processor.platform.machine", lambda: machine)
    monkeypatch.setattr("exporter.targets.stand_in.installed_distributions", lambda: packages)
    told = stand_in(load_target(target))
    assert told == ("" if here else load_target(target).stand_in)
    assert here or "stand" in told or "checked" in told
    assert bool(hardware_elsewhere(load_target(target))) is not here


def test_hardware_is_named_by_what_the_target_needs_or_else_by_its_processor(monkeypatch):
    monkeypatch.setattr("exporter.targets.stand_in._is_here", lambda processor: False)
    assert hardware_elsewhere(load_target("arm64")) == ["ARM64 processor"]
    assert hardware_elsewhere(load_target("cpu-openvino")) == ["x86-64 with VNNI"]
    assert hardware_elsewhere(load_target("t4")) == ["NVIDIA T4"]
    assert hardware_elsewhere(load_target("cpu-executorch")) == []
