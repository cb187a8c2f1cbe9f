"""Work that is awaited: done in a thread, its progress reported in the loop, ended where nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from exporter.runtime.generating import OnProgress

Made = TypeVar("Made")


class NobodyWaits(Exception):
    """Ends work in its thread after the task that awaited it was cancelled."""


async def awaited(work: Callable[[OnProgress], Made], on_progress: OnProgress | None = None) -> Made:
    """What `work` makes in a thread. It reports its progress to the function that it gets; `on_progress` gets the same,
    in the thread of the running loop.

    Where the awaiting task is cancelled, the work ends at its next report, and this with it.
    """
    loop, is_cancelled = asyncio.get_running_loop(), threading.Event()

    def report(what: str, done: int, total: int) -> None:
        if is_cancelled.is_set():
            raise NobodyWaits
        if on_progress:
            loop.call_soon_threadsafe(on_progress, what, done, total)

    working = loop.run_in_executor(None, work, report)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        is_cancelled.set()
        # The bundle is free again when this returns.
        await asyncio.wait([working])
        working.exception()
        raise
