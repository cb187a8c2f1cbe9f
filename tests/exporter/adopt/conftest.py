from __future__ import annotations

from pathlib import Path

import pytest

from exporter.adopt.adopt import Adopted, adopt
from exporter.build.build import build
from exporter.files.cache import Cache
from exporter.targets.target import load_target
from tests.exporter.adopt.foreign import write_foreign
from tests.exporter.build.test_build import INT8, in_int8, recipe_of


@pytest.fixture(scope="package")
def ours(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> tuple[Path, Path]:
    """An INT8 bundle of the tiny model and its float twin; not to be changed."""
    folder = tmp_path_factory.mktemp("ours")
    cache, target = Cache(folder / "cache"), load_target("cpu")
    limits = INT8 | {"stage_snr_db": 15.0, "trajectory_snr_db": 10.0}
    quantized = recipe_of(tiny_folder, quantization=in_int8("denoiser/*blocks*"), int8=limits)
    build(quantized, target, folder / "int8", cache=cache, need_gain=False)
    build(recipe_of(tiny_folder), target, folder / "fp32", cache=cache)
    return folder / "int8", folder / "fp32"


@pytest.fixture(scope="package")
def described(ours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of both as somebody else's; not to be changed."""
    return write_foreign(tmp_path_factory.mktemp("theirs") / "export", *ours)


@pytest.fixture(scope="package")
def adopted(described: Path, tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """Their bundle; not to be changed."""
    return adopt(described, tmp_path_factory.mktemp("adopted") / "bundle")
