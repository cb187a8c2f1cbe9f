"""The process's own streams: every text can be written to them, and one rule says what comes of one that cannot.

Results go to stdout. Where nobody reads them any more, as in `t3export targets | head -1`, the work stops without a
word, with the exit code of a program that SIGPIPE ended; where they cannot be written (a full device, a stream that
the caller closed) the exit code is 1, with words. Progress and notes go to stderr; what it does not take is dropped,
and the exit code is the work's.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import Any, TextIO, cast

STDOUT, STDERR = 1, 2
READER_GONE = 128 + getattr(signal, "SIGPIPE", 13)


class OutputLost(Exception):
    """stdout does not take what is written to it."""

    def __init__(self, reason: OSError) -> None:
        why = "it is closed" if reason.errno == errno.EBADF else reason.strerror
        super().__init__(f"stdout: the results cannot be written ({why}); send them elsewhere, as in `> results.txt`")
        self.exit_code = READER_GONE if reason.errno == errno.EPIPE else 1


class _Results(io.FileIO):
    """Raises OutputLost at the first failure and drops what comes after it, so that the process can end in peace."""

    _lost = False

    def write(self, data: Any) -> int:
        try:
            return len(data) if self._lost else super().write(data)
        except OSError as error:
            self._lost = True
            raise OutputLost(error) from None


class _Notes(io.FileIO):
    """Drops what cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def guard_streams() -> None:
    """Puts stdout and stderr under the rule above. What their encoding lacks is written as \\x and \\u escapes."""
    _open_what_is_closed()
    sys.stdout = _guarded(sys.stdout, STDOUT, _Results)
    sys.stderr = _guarded(sys.stderr, STDERR, _Notes)


def takes_every_letter(stream: TextIO) -> bool:
    """Whether a stream's encoding has all of Unicode."""
    return (stream.encoding or "").lower().replace("_", "-").startswith("utf-")


def _open_what_is_closed() -> None:
    """Else the next file that is opened takes the number of a closed stream, and gets what is meant for that.

    Opened for reading, so that a write to it still fails.
    """
    while (number := os.open(os.devnull, os.O_RDONLY)) <= STDERR:
        continue
    os.close(number)


def _guarded(stream: TextIO | None, number: int, kind: type[io.FileIO]) -> TextIO:
    console = stream is not None and stream.isatty()
    # Windows' console is no file, and lacks no letter.
    if stream is not None and console and os.name == "nt":
        return stream
    raw = io.BufferedWriter(cast(io.RawIOBase, kind(number, "w", closefd=False)))
    encoding = stream.encoding if stream is not None else "utf-8"
    return io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=console or number == STDERR)
