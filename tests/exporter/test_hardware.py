"""What a machine is, and a management library that is not there or a stand-in for it."""

from __future__ import annotations

import pytest

from exporter import hardware
from exporter.hardware import DECISIVE_FLAGS, Gpu, gpus, processor_flags, processor_name, usable_processors


class Nvml:
    """NVIDIA's management library of a machine with these GPUs."""

    def __init__(self, *found, status=0):
        self.found, self.status, self.open = found, status, False

    def nvmlInit_v2(self):
        self.open = not self.status
        return self.status

    def nvmlShutdown(self):
        self.open = False

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = len(self.found)

    def nvmlDeviceGetHandleByIndex_v2(self, index, device):
        device._obj.value = index + 1

    def nvmlDeviceGetName(self, device, name, length):
        name.value = self.found[device.value - 1].name.encode()

    def nvmlDeviceGetMemoryInfo(self, device, memory):
        gpu = self.found[device.value - 1]
        memory._obj.total, memory._obj.used = gpu.memory_bytes, gpu.used_bytes


def test_every_gpu_is_told_with_its_memory():
    found = [Gpu("NVIDIA T4", 16 * 2**30, 2**20), Gpu("Orin (nvgpu)", 61 * 2**30, 3 * 2**30)]
    library = Nvml(*found)
    assert gpus(library) == found and not library.open


def test_no_gpu_where_there_is_no_library_or_no_driver(monkeypatch):
    monkeypatch.setattr(hardware, "_nvml", lambda: None)
    assert gpus() == [] and gpus(Nvml(Gpu("T4", 1, 1), status=9)) == []


def test_the_flags_that_matter_are_read(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: A Fast One\nflags\t\t: fpu avx2 avx512_vnni amx_tile\nmodel name\t: A Fast One\n")
    monkeypatch.setattr(hardware, "_CPUINFO", told)
    assert processor_name() == "A Fast One" and processor_flags() == ["avx2", "avx512_vnni"]
    told.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n")
    assert processor_flags() == ["asimd", "asimddp", "i8mm"] and processor_name()
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "absent")
    assert processor_flags() == []


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx512_bf16", "amx_bf16", "i8mm"])
def test_what_makes_integers_and_half_floats_fast_is_among_them(flag):
    assert flag in DECISIVE_FLAGS and usable_processors() >= 1
