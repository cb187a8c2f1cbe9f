"""Where a user's own files lie, where nothing else was said."""

from __future__ import annotations

import os
from pathlib import Path

from exporter.errors import EnvironmentProblem


def own_folder(variable: str, *below_home: str) -> Path:
    """The folder in an environment variable, else one below the user's home.

    Raises EnvironmentProblem that names the variable where the user has no home, as a mere number in a container.
    """
    if named := os.environ.get(variable):
        return Path(named)
    try:
        return Path.home().joinpath(*below_home)
    except RuntimeError:
        raise EnvironmentProblem(
            f"this user has no home folder ($HOME is not set): name a folder in ${variable}"
        ) from None
