from __future__ import annotations

from pathlib import Path

import pytest

from exporter.adopt.adopt import Adopted, adopt
from exporter.files.cache import Cache
from tests.foreign_export import build_ours, write_foreign


@pytest.fixture(scope="package")
def ours(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, step_cache: Cache) -> tuple[Path, Path]:
    """An INT8 bundle of the tiny model and its float twin; not to be changed."""
    return build_ours(tmp_path_factory.mktemp("ours"), tiny_folder, step_cache)


@pytest.fixture(scope="package")
def described(ours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of both as somebody else's; not to be changed."""
    return write_foreign(tmp_path_factory.mktemp("theirs") / "export", *ours)


@pytest.fixture(scope="package")
def adopted(described: Path, tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """Their bundle; not to be changed."""
    return adopt(described, tmp_path_factory.mktemp("adopted") / "bundle")
