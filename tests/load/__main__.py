"""Many requests of many clients, each answered or sent away and come again; then a kill in the middle of one.

python -m tests.load [BUNDLE] [--requests 200] [--clients 16] [--waiting 8]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil

from exporter.manifest import read_manifest
from tests.load.served_process import ServedProcess, served
from tests.toy_bundle import write_toy_bundle

PROMPTS = ("a red ball", "a green ball", "a blue ball", "a ball")
WARM_UP = 20
FLAT = 1.1
"""How much memory may be there in the end, of what was there after the first requests."""


class Tally:
    """What became of all requests, of all clients together."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.lost: list[str] = []
        self.seconds: list[float] = []
        self.digests: dict[str, set[str]] = {}
        self.lock = threading.Lock()

    def answered(self, status: int) -> None:
        with self.lock:
            self.statuses[status] += 1

    def made(self, asked: str, content: bytes, seconds: float) -> None:
        with self.lock:
            self.seconds.append(seconds)
            self.digests.setdefault(asked, set()).add(hashlib.sha256(content).hexdigest())


def client(server: ServedProcess, requests: SimpleQueue[int], tally: Tally, grid: int) -> None:
    """Takes requests until there are none; one that is sent away comes again when it was told to."""
    while True:
        try:
            number = requests.get_nowait()
        except Empty:
            return
        asked = {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number % 3, "grid": grid, "texture": False}
        started = time.monotonic()
        status = 429
        while status == 429:
            try:
                status, headers, content = server.ask("/v1/generate", asked)
            except OSError as error:
                tally.lost.append(f"request {number}: {error}")
                break
            tally.answered(status)
            if status == 429:
                time.sleep(int(headers["retry-after"]))
            elif status == 200:
                tally.made(json.dumps(asked), content, time.monotonic() - started)
            else:
                tally.lost.append(f"request {number}: {status} {content[:200]!r}")


def load(server: ServedProcess, count: int, clients: int, grid: int) -> Tally:
    """So many requests of so many clients at once."""
    requests: SimpleQueue[int] = SimpleQueue()
    for number in range(count):
        requests.put(number)
    tally = Tally()
    threads = [threading.Thread(target=client, args=(server, requests, tally, grid)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def left_by_a_kill(bundle: Path, folder: Path) -> list[str]:
    """What is in the folders that a server could write to, after kill -9 in the middle of a request."""
    before = set(bundle.rglob("*"))
    with served(bundle, folder, "--api") as server:
        connection = server.connect()
        body = json.dumps({"prompt": PROMPTS[0], "grid": 256, "exact": True})
        connection.request("POST", "/v1/generate", body, {"Content-Type": "application/json"})
        while not server.health()["busy"]:
            time.sleep(0.01)
        server.process.kill()
        server.process.wait()
        connection.close()
        beside = [path for path in folder.iterdir() if path.name not in ("temporary", "server.log")]
        return [str(path) for path in (*server.temporary.rglob("*"), *beside, *set(bundle.rglob("*")) - before)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", type=Path, help="default: the toy of the tests")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--waiting", type=int, default=8, help="of the server's queue: fewer than clients")
    parser.add_argument("--grid", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = (given.bundle or write_toy_bundle(folder / "bundle")).resolve()
        with served(bundle, folder / "load", "--api", "--waiting", str(given.waiting)) as server:
            memory = psutil.Process(server.process.pid).memory_info
            load(server, WARM_UP, 4, given.grid)
            before = memory().rss
            started = time.monotonic()
            tally = load(server, given.requests, given.clients, given.grid)
            seconds, after = time.monotonic() - started, memory().rss
            left = [str(path) for path in server.temporary.rglob("*")]
        killed = left_by_a_kill(bundle, folder / "kill")
        name = read_manifest(bundle).name
    differing = sum(len(digests) > 1 for digests in tally.digests.values())
    slowest = max(tally.seconds, default=0.0)
    print(f"{name}: {given.requests} requests of {given.clients} clients, {given.waiting} may wait, {seconds:.1f} s")
    print(f"  made {len(tally.seconds)}, lost {len(tally.lost)}, sent away and come again {tally.statuses[429]} times")
    print(f"  the same request gave other bytes: {differing}; slowest {slowest:.1f} s, its waits included")
    print(f"  memory after {WARM_UP}: {before / 2**20:.0f} MiB, in the end {after / 2**20:.0f} MiB")
    print(f"  files left: {len(left)}; after kill -9 in the middle of a request: {len(killed)}")
    for line in (*tally.lost, *left, *killed):
        print(f"  {line}")
    lost = len(tally.seconds) != given.requests or tally.lost or differing
    if lost or left or killed or after > FLAT * before:
        raise SystemExit("failed")


if __name__ == "__main__":
    main()
