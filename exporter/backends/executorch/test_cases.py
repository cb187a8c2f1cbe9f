"""Programs with their goldens inside (`.bpte`): what ExecuTorch's own runners check on a phone, and we check here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from executorch.devtools import BundledProgram
from executorch.devtools.bundled_program.config import MethodTestCase, MethodTestSuite
from executorch.devtools.bundled_program.serialize import serialize_from_bundled_program_to_flatbuffer
from executorch.extension.pybindings.portable_lib import _load_bundled_program_from_buffer

from exporter.backends.executorch.trace import largest_sizes
from exporter.errors import ValidationFailed
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.sessions.pieces import Arrays, pieces

# A runner compares element by element, a recipe the whole tensor: no element may stray ten times as far as the least
# SNR lets all of them stray together.
LARGEST_OVER_USUAL = 10.0


def write_test_cases(
    program: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], goldens: Sequence[Path], snr_db: float
) -> tuple[bytes, float]:
    """A program with the first piece of every golden, and the absolute tolerance that its outputs have to keep.

    `snr_db`: the least SNR that the recipe allows. Raises ValidationFailed that names the case which fails here.
    """
    cases = [_first_piece([*inputs, *outputs], path) for path in goldens]
    suite = MethodTestSuite("forward", [MethodTestCase(_tensors(c, inputs), _tensors(c, outputs)) for c in cases])
    content = serialize_from_bundled_program_to_flatbuffer(BundledProgram(None, [suite], pte_file_path=str(program)))
    usual = max(math.sqrt(np.mean(np.square(case[spec.name], dtype=np.float64))) for case in cases for spec in outputs)
    tolerance = LARGEST_OVER_USUAL * usual * 10 ** (-snr_db / 20)
    for index in failing(content, len(cases), tolerance):
        raise ValidationFailed(
            f"{program}: test case {index} ({goldens[index].name}): an element is off by more than {tolerance:.3g}"
        )
    return content, tolerance


def failing(content: bytes, count: int, tolerance: float) -> Iterator[int]:
    """Numbers of the test cases of a `.bpte` that this machine's runtime fails; `tolerance` is absolute."""
    bundled = _load_bundled_program_from_buffer(content)
    for index in range(count):
        try:
            bundled.verify_result_with_bundled_expected_output("forward", index, 0.0, tolerance)
        except RuntimeError:
            yield index


def _first_piece(specs: Sequence[TensorSpec], path: Path) -> Arrays:
    """What a program takes of a golden at once, and gives for it."""
    with np.load(path, allow_pickle=False) as file:
        recorded = {spec.name: file[spec.name] for spec in specs}
    return next(pieces(specs, recorded, largest_sizes(specs)))


def _tensors(arrays: Arrays, specs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(arrays[spec.name], spec.dtype, order="C")) for spec in specs]
