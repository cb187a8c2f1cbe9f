from __future__ import annotations

from pathlib import Path


def resident(path):
    """Bytes of a mapped file in this process's memory."""
    own = found = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            own = line.endswith(str(path))
        elif own and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found
