"""Work done in a forked child: what the parent has imported need not be imported again, and any end of it is seen."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from t3export.failures import failure_of

_NEW_MOUNTS, _NEW_USER, _NEW_NUMBERS = 0x00020000, 0x10000000, 0x20000000
_READ_ONLY, _REMOUNT, _BIND = 1, 32, 4096
_DIE_WITH_PARENT = 1
_ON_FILES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.chmod"}
CRASH = 99
HANG_SECONDS = 300.0


@dataclass(frozen=True)
class End:
    """How a child ended: its exit code, or minus the signal that killed it, and its last words."""

    code: int
    words: str
    seconds: float

    @property
    def lost(self) -> str:
        """Empty for a good end or an error for people; else what it was."""
        if self.code == CRASH:
            return f"a traceback: {self.words}"
        if self.code < 0:
            return f"killed by signal {-self.code} after {self.seconds:.0f} s"
        return "" if self.code == 0 or self.words else f"exit code {self.code} without a word"


def run_child(
    action: Callable[[], object],
    words: Path,
    *,
    blow: int | None = None,
    after: float = HANG_SECONDS,
    number_one: bool = False,
) -> End:
    """Runs the action in a child and waits. `blow`: a signal sent `after` seconds, SIGKILL for a hang if None.

    `number_one`: as process 1, as in a container. Errors end it as the command line would: the exit code of the error,
    and its message in the file `words`.
    """
    words.unlink(missing_ok=True)
    begin = time.perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(_as_number_one(action, words) if number_one else _in_child(action, words))
    end = begin + after
    sent = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if not sent and time.perf_counter() > end:
            os.kill(child, blow or signal.SIGKILL)
            sent = True
        time.sleep(0.002)
    return End(os.waitstatus_to_exitcode(status), _read(words), time.perf_counter() - begin)


def _in_child(action: Callable[[], object], words: Path) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
        os.dup2(nothing.fileno(), sys.stderr.fileno())
    try:
        action()
    except BaseException as error:
        failure = failure_of(error)
        with contextlib.suppress(OSError):
            words.write_text(failure.message if failure else "".join(traceback.format_exception(error)[-3:]))
        return failure.exit_code if failure else CRASH
    return 0


def _as_number_one(action: Callable[[], object], words: Path) -> int:
    """The exit code of the action in a grandchild that is process 1 to itself, and dies with this child."""
    _call("unshare", _NEW_NUMBERS | _user())
    grandchild = os.fork()
    if grandchild == 0:
        _call("prctl", _DIE_WITH_PARENT, signal.SIGKILL)
        os._exit(_in_child(action, words))
    return abs(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def die_before(step: int) -> None:
    """This process kills itself right before an operation on files, the `step`th from now on."""
    counted = itertools.count(1)

    def on_event(event: str, _: object) -> None:
        if event in _ON_FILES and next(counted) == step:
            os.kill(os.getpid(), signal.SIGKILL)
            # Process 1 of a container is never killed from inside.
            os._exit(128 + signal.SIGKILL)

    sys.addaudithook(on_event)


@contextlib.contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """That many bytes of address space more than this process has now."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def own_mounts() -> None:
    """Mounts of this process are its own from now on. Raises OSError where the system does not allow that."""
    _call("unshare", _NEW_MOUNTS | _user())


def small_disk(place: Path, size: int) -> None:
    """A file system in memory of that many bytes; needs `own_mounts`."""
    _call("mount", b"tmpfs", os.fsencode(place), b"tmpfs", 0, f"size={size}".encode())


def make_read_only(place: Path) -> None:
    """Nothing can be written to the mount at `place` any more."""
    _call("mount", b"tmpfs", os.fsencode(place), b"tmpfs", _REMOUNT | _READ_ONLY, None)


def mount_again(source: Path, place: Path) -> None:
    """A folder of this disk is mounted at another place too."""
    _call("mount", os.fsencode(source), os.fsencode(place), None, _BIND, None)


def mount_layers(place: Path, lower: Path, scratch: Path) -> None:
    """A container's file system at `place`: what lies in `lower` can be changed there, and its folders not renamed."""
    for name in ("upper", "work"):
        (scratch / name).mkdir()
    options = f"lowerdir={lower},upperdir={scratch / 'upper'},workdir={scratch / 'work'},redirect_dir=off"
    _call("mount", b"overlay", os.fsencode(place), b"overlay", 0, options.encode())


def has_own_mounts() -> bool:
    """Whether this system lets a process have mounts of its own."""
    return _can(own_mounts)


def has_own_numbers() -> bool:
    """Whether this system lets a process number its children anew."""
    return _can(lambda: _call("unshare", _NEW_NUMBERS | _user()))


def _can(action: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            action()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _user() -> int:
    """What has to be asked for besides by who is not root."""
    return 0 if os.geteuid() == 0 else _NEW_USER


def _call(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
