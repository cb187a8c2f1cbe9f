"""Every error a user can mend: what was wrong, where, and what to do about it. The command exits with `exit_code`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class T3Error(Exception):
    """Base of all errors that t3export reports without a traceback."""

    exit_code = 1


class RecipeError(T3Error):
    """A recipe, a target file or a command-line value is wrong."""

    exit_code = 2


class WeightsError(T3Error):
    """Weights are missing, truncated or of another architecture."""

    exit_code = 3


class UnusableWeights(WeightsError):
    """What the name leads to is no model of the family; `load_model` adds which weights are."""


class NoSuchWeights(UnusableWeights):
    """Neither a folder nor a model of the hub has this name."""


class HubUnreachable(UnusableWeights):
    """The model hub did not answer."""


class BundleError(T3Error):
    """A bundle is missing, damaged, of another schema version, or cannot be used like that."""

    exit_code = 4


class ValidationFailed(T3Error):
    """A rung of the parity ladder, or a golden comparison, missed its tolerance."""

    exit_code = 5


class EnvironmentProblem(T3Error):
    """A package, a tool, disk space or memory is missing on this machine."""

    exit_code = 6


class EmptyMesh(T3Error):
    """The field has no surface inside the volume."""


def first_of(lines: Sequence[str], most: int = 20) -> list[str]:
    """The first lines of a list that may be very long, and how many are left out."""
    left_out = len(lines) - most
    return [*lines[:most], f"and {left_out:,} more"] if left_out > 0 else list(lines)


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `name`, or None when nothing is close."""
    close = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.5)
    return close[0] if close else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A sentence that lists the allowed names and the nearest one, for the end of an error message."""
    names = sorted(allowed)
    close = nearest(name, names)
    return f"allowed: {', '.join(names)}" + (f"; did you mean '{close}'?" if close else "")
