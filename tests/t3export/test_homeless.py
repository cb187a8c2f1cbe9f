"""Commands of a user without a home folder say which variable helps."""

from __future__ import annotations

import pathlib

import pytest

from exporter.errors import EnvironmentProblem
from t3export.cli import run


@pytest.fixture
def homeless(monkeypatch):
    """A user that is a mere number, as `docker run --user 12345` makes one."""

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "home", staticmethod(unknown))
    for name in ("T3EXPORT_CACHE", "T3EXPORT_TRUSTED_KEYS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (["cache", "list"], "T3EXPORT_CACHE"),
        (["cache", "prune"], "T3EXPORT_CACHE"),
        (["keys", "list"], "T3EXPORT_TRUSTED_KEYS"),
        (["verify", "."], "T3EXPORT_TRUSTED_KEYS"),
        (["pull", "toy", "--from", "."], "T3EXPORT_TRUSTED_KEYS"),
    ],
)
def test_commands_say_so_too(homeless, arguments, variable, capsys):
    assert run(arguments) == EnvironmentProblem.exit_code
    assert f"${variable}" in capsys.readouterr().err
