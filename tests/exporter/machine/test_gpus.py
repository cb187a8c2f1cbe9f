"""What a machine is, and a management library that is not there or a stand-in for it."""

from __future__ import annotations

from exporter.machine.gpus import Gpu, gpus


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
    monkeypatch.setattr("exporter.machine.gpus._nvml", lambda: None)
    assert gpus() == [] and gpus(Nvml(Gpu("T4", 1, 1), status=9)) == []
