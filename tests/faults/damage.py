"""Ways to damage a file, undone afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import T3Error

EDGE = 8
Damage = Callable[[bytes, random.Random], bytes]


def flip(content: bytes, rng: random.Random) -> bytes:
    """One bit of one byte is another, at the edges more often than elsewhere."""
    place = rng.choice([rng.randrange(len(content)), rng.randrange(-EDGE, EDGE) % len(content)])
    changed = bytearray(content)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Something is missing at the end, from one byte to all."""
    return content[: rng.choice([0, len(content) - 1, rng.randrange(len(content))])]


def oversize(content: bytes, rng: random.Random) -> bytes:
    """Something more at the end: zeros, rubbish, or the whole file once more."""
    return content + rng.choice([b"\0", b"\n", rng.randbytes(rng.randrange(1, 4096)), content, bytes(2**20)])


@contextmanager
def damaged(path: Path, damage: Damage, rng: random.Random) -> Iterator[None]:
    """The file with other content for as long as the context lasts."""
    content = path.read_bytes()
    path.write_bytes(damage(content, rng))
    try:
        yield
    finally:
        path.write_bytes(content)


def outcome(action: Callable[[], object]) -> str:
    """Empty where the action refused with an error for people; else what it did instead."""
    try:
        action()
    except T3Error as error:
        return "" if str(error) else f"refused without a word ({type(error).__name__})"
    except Exception as error:
        return f"a traceback, {type(error).__name__}: {error}"
    return "not noticed"
