"""The backends that a toy is built for, in floats and in INT8."""

from __future__ import annotations

import pytest

TARGETS = ("cpu", "cpu-openvino", "web", "cpu-executorch", "orin")
# An INT8 program has the operators of the float one beside its own. Float programs are always tried where they are
# the only ones, in the full precision of this processor and the half precision of a kit.
FLOAT = ("cpu", "orin")


def _case(target: str, quantized: bool):
    marks = [] if quantized or target in FLOAT else pytest.mark.slow
    return pytest.param(target, quantized, id=f"{target}-{'int8' if quantized else 'float'}", marks=marks)


BACKEND_CASES = [_case(target, quantized) for target in TARGETS for quantized in (False, True)]
IN_THE_CLIENT = [pytest.param(False, id="float", marks=pytest.mark.slow), pytest.param(True, id="int8")]
