"""What is read of the system's own words about its processor."""

from __future__ import annotations

from exporter.machine.processor import this_processor, usable_processors


def test_the_flags_that_matter_are_read(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: A Fast One\nflags\t\t: fpu avx2 avx512_vnni amx_bf16\nmodel name\t: A Fast One\n")
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", told)
    found = this_processor()
    assert found.name == "A Fast One" and found.decisive_flags == ["avx2", "avx512_vnni", "amx_bf16"]
    assert found.has_vnni and found.has_bf16


def test_arm64s_features_are_read(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n")
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", told)
    found = this_processor()
    assert found.decisive_flags == ["asimd", "asimddp", "i8mm"] and found.name and not found.has_vnni


def test_a_system_that_tells_nothing_has_no_flags(tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", tmp_path / "absent")
    assert this_processor().decisive_flags == [] and usable_processors() >= 1
