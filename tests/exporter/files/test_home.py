from __future__ import annotations

import pathlib
from pathlib import Path

import pytest

from exporter.errors import EnvironmentProblem
from exporter.files.home import own_folder


def test_the_variable_comes_first_and_then_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MINE", raising=False)
    assert own_folder("MINE", ".config", "mine") == tmp_path / ".config/mine"
    monkeypatch.setenv("MINE", "/here")
    assert own_folder("MINE", ".config", "mine") == Path("/here")


def test_without_either_the_variable_is_named(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "home", staticmethod(unknown))
    monkeypatch.delenv("MINE", raising=False)
    with pytest.raises(EnvironmentProblem, match=r"no home folder.*\$MINE"):
        own_folder("MINE", ".config")
