"""Stands in for libcudart.so: device memory is the host's, and an address that was not given out is an error."""

from __future__ import annotations

import ctypes
import os

import numpy as np

MEMORY: dict[int, ctypes.Array] = {}
STREAMS = {77}
CAPABILITY = os.environ.get("FAKE_COMPUTE_CAPABILITY", "8.7")
_REAL = ctypes.CDLL


def install():
    """Answers for libcudart.so from now on."""
    ctypes.CDLL = lambda name, *rest: Cudart() if name and "cudart" in str(name) else _REAL(name, *rest)


def view(address, shape, kind):
    """Device memory as an array."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    assert address in MEMORY and len(MEMORY[address]) >= size, "not enough device memory at this address"
    return np.frombuffer(MEMORY[address], kind, int(np.prod(shape))).reshape(shape)


class Cudart:
    def cudaMalloc(self, pointer, size):
        block = (ctypes.c_char * size.value)()
        pointer._obj.value = ctypes.addressof(block)
        MEMORY[pointer._obj.value] = block
        return 0

    def cudaFree(self, address):
        return 0 if MEMORY.pop(address.value, None) is not None else 1

    def cudaMemcpy(self, to, source, size, direction):
        assert direction in (1, 2)
        device = to if direction == 1 else source
        assert len(MEMORY[device.value]) >= size.value
        ctypes.memmove(to.value, source.value, size.value)
        return 0

    def cudaStreamCreate(self, pointer):
        pointer._obj.value = next(iter(STREAMS))
        return 0

    def cudaStreamSynchronize(self, stream):
        return 0 if stream.value in STREAMS else 1

    def cudaDeviceGetAttribute(self, pointer, attribute, device):
        pointer._obj.value = int(CAPABILITY.split(".")[attribute - 75])
        return 0

    def cudaRuntimeGetVersion(self, pointer):
        pointer._obj.value = 12060
        return 0

    cudaDriverGetVersion = cudaRuntimeGetVersion
