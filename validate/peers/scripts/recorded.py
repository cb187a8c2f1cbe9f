"""What every peer's script starts from: one program, and the inputs that were recorded for it.

Runs inside the peer's environment, so it needs numpy and nothing else. Called as `SCRIPT PROGRAM OUTPUT SHARD…`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


class Recorded:
    """Recorded inputs, one shard after the other: ONNX Runtime's CalibrationDataReader, which all peers take."""

    def __init__(self, shards: list[Path]) -> None:
        self.shards = shards
        self.rewind()

    def rewind(self) -> None:
        self._rest = iter(self.shards)

    def get_next(self) -> dict[str, np.ndarray] | None:
        shard = next(self._rest, None)
        return None if shard is None else read(shard)

    def get_first(self) -> dict[str, np.ndarray]:
        """Model-Optimizer looks at one shard ahead."""
        return self[0]

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return read(self.shards[index])


def read(shard: Path) -> dict[str, np.ndarray]:
    """The inputs of a shard, without the prompts that they belong to."""
    with np.load(shard, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "prompts"}


def main(quantize: Callable[[Path, Path, Recorded], object]) -> None:
    """Call `quantize(program, output, recorded)` with what the command line says."""
    program, output, *shards = map(Path, sys.argv[1:])
    quantize(program, output, Recorded(shards))
