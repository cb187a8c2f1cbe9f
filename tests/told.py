"""What the command line says."""

from __future__ import annotations

from t3export.cli import run


def told(capsys, *arguments) -> tuple[int, str]:
    """The exit code of the command line, and all that it said, in one line."""
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())
