"""A word of what to do where the weights that a bundle names are not there any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import HubUnreachable, NoSuchWeights


@contextmanager
def telling_where_they_were(source: str, given: str | None) -> Iterator[None]:
    """Names --weights where the bundle's own `source` leads nowhere; what a person has `given` is left to its message.

    A relative folder that looks like a hub name, such as `weights/mine`, is sought on the hub once it is gone.
    """
    try:
        yield
    except (NoSuchWeights, HubUnreachable) as error:
        if given:
            raise
        reason = str(error).partition(". ")[0]
        raise type(error)(
            f"{reason}. The bundle was built from weights there, and that leads nowhere from {Path.cwd()}: say where "
            "they are now, as in `t3export validate BUNDLE --weights FOLDER` (`t3export bisect` takes --weights too)"
        ) from None
