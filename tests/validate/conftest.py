from __future__ import annotations

from pathlib import Path

import pytest

from tests.validate.tiny_clip import write_clip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random CLIP; not to be changed."""
    return write_clip(tmp_path_factory.mktemp("clip"))
