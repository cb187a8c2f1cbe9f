from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from exporter.errors import EnvironmentProblem
from exporter.files import lock
from exporter.files.lock import alone

HOLD = "import sys, pathlib, exporter.files.lock as l\nwith l.alone(pathlib.Path(sys.argv[1])): print(); input()"


def test_it_is_gone_afterwards(tmp_path):
    with alone(tmp_path / "cpu"):
        assert [path.name for path in tmp_path.iterdir()] == [".cpu.lock"]
    assert not list(tmp_path.iterdir())


def test_a_process_that_is_at_it_is_named_and_one_that_was_killed_is_not_waited_for(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "cpu"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        holder.stdout.readline()
        with pytest.raises(EnvironmentProblem, match=f"process {holder.pid} is changing it"), alone(tmp_path / "cpu"):
            pass
        holder.kill()
    assert (tmp_path / ".cpu.lock").exists()
    with alone(tmp_path / "cpu"):
        pass


def test_of_several_that_find_the_lock_of_a_dead_process_one_is_let_in(tmp_path, monkeypatch):
    """Each is slow to delete a lock, so that all have looked at it before the first does."""
    (tmp_path / ".cpu.lock").write_text("999999999")
    unlink, delays, inside, most = Path.unlink, count(1), [], []

    def unlink_slowly(path, missing_ok=False):
        time.sleep(0.02 * next(delays))
        unlink(path, missing_ok)

    def enter():
        with suppress(EnvironmentProblem), alone(tmp_path / "cpu"):
            inside.append(1)
            time.sleep(0.1)
            most.append(len(inside))
            inside.pop()

    monkeypatch.setattr(Path, "unlink", unlink_slowly)
    threads = [threading.Thread(target=enter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_a_lock_that_is_deleted_before_it_is_claimed_is_made_again(tmp_path, monkeypatch):
    claim = lock._claim

    def late(handle):
        monkeypatch.setattr(lock, "_claim", claim)
        (tmp_path / ".cpu.lock").unlink()
        claim(handle)

    monkeypatch.setattr(lock, "_claim", late)
    with alone(tmp_path / "cpu"), pytest.raises(EnvironmentProblem), alone(tmp_path / "cpu"):
        pass


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock, "_claim", refuse)
    with (
        pytest.raises(EnvironmentProblem, match=r"cpu\.lock: cannot be locked \(Function not implemented\)"),
        alone(tmp_path / "cpu"),
    ):
        pass
