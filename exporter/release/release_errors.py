"""What can go wrong with releases besides a damaged bundle."""

from __future__ import annotations

from exporter.errors import T3Error


class KeyProblem(T3Error):
    """A key is missing, malformed, encrypted with another password or not trusted."""

    exit_code = 2


class NoSuchRelease(T3Error):
    """A name, version, channel or bundle that the store does not have."""

    exit_code = 2


class NotReleasable(T3Error):
    """A bundle that nobody should ship: random weights, failed or not validated."""

    exit_code = 5


class StoreProblem(T3Error):
    """A store of releases that is not there, or lacks what its index names."""

    exit_code = 6


class StoreUnreachable(StoreProblem):
    """A store that does not answer, or breaks off: worth another try."""
