"""An object made beside Blender's own work: no bpy here, which knows one thread alone."""

import threading
from functools import cache
from pathlib import Path
from typing import Any


class Cancelled(Exception):
    """Nobody wants the object any more."""


class ObjectThread(threading.Thread):
    """Makes one object and writes it as a .glb.

    progress: what is at work, in words; error: why there is no file, in words, None where there is one.
    """

    def __init__(self, bundle: Path, asked: dict[str, Any], path: Path) -> None:
        super().__init__(name="t3export", daemon=True)
        self.bundle, self.asked, self.path = bundle, asked, path
        self.progress = "opening"
        self.error: str | None = None
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Ends it at the next evaluation."""
        self._cancelled.set()

    def run(self) -> None:
        """Called by `start`."""
        try:
            made = opened(self.bundle).generate(**self.asked, on_progress=self._report)
            self._report("writing", 0, 0)
            made.save(self.path)
        except Cancelled:
            self.error = "cancelled"
        except Exception as error:
            # Whatever it is, it is said in Blender, and the next object may be made.
            self.error = str(error) or type(error).__name__

    def _report(self, what: str, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled()
        self.progress = f"{what} {100 * done // total} %" if total else what


@cache
def opened(bundle: Path) -> Any:
    """The bundle, opened once."""
    from t3export_runtime import Bundle

    return Bundle.open(bundle)
