"""Folders that cannot be renamed are replaced all the same, and the former one is never lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from exporter.files import swap
from exporter.files.swap import exchange, put, recover, replacing


def content(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def out(tmp_path):
    """A folder with something in it."""
    return write(tmp_path / "out", "first", "deep/first")


@pytest.fixture(params=["EXDEV", "EBUSY"])
def fixed(request, out, monkeypatch):
    """`out` cannot be renamed: it lies in a lower layer of a container, or is mounted from this very disk."""
    rename = os.rename

    def refuse(source, target, **options):
        if out in (Path(source), Path(target)):
            raise OSError(getattr(errno, request.param), "refused", str(source))
        return rename(source, target, **options)

    monkeypatch.setattr(swap, "_exchange_at_once", lambda one, other: False)
    monkeypatch.setattr(os, "rename", refuse)
    return out


@pytest.fixture
def volume(out, monkeypatch):
    """A volume is mounted at `out`."""
    (out / "lost+found").mkdir()
    ismount = os.path.ismount
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == out or ismount(path))
    return out


def refuse_to_copy(monkeypatch, name):
    """The disk becomes full at the first file of this name."""
    copy = shutil.copy2

    def full(source, target):
        if Path(source).name == name:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(source, target)

    monkeypatch.setattr(shutil, "copy2", full)


def test_it_is_replaced_by_copy(fixed):
    with replacing(fixed) as folder:
        write(folder, "second", "deep/second")
    assert content(fixed) == ["deep/second", "second"]
    assert names(fixed.parent) == ["out"]


def test_a_disk_that_becomes_full_leaves_the_former(fixed, monkeypatch):
    refuse_to_copy(monkeypatch, "second")
    with pytest.raises(OSError) as failure, replacing(fixed) as folder:
        write(folder, "a", "second")
    assert failure.value.errno == errno.ENOSPC
    assert content(fixed) == ["deep/first", "first"] and names(fixed.parent) == ["out"]


def test_what_can_not_even_come_back_is_kept_and_comes_back_later(fixed, monkeypatch):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Exception) as failure, replacing(fixed) as folder:
        write(folder, "second")
        copies = iter([shutil.copy2, shutil.copy2])

        def full(source, target):
            copy = next(copies, None)
            if copy is None:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            return copy(source, target)

        patch.setattr(shutil, "copy2", full)
    assert "could be neither replaced nor put back" in str(failure.value) and ".out.former" in str(failure.value)
    recover(fixed)
    assert content(fixed) == ["deep/first", "first"] and names(fixed.parent) == ["out"]


def test_what_a_killed_process_had_set_aside_comes_back(fixed):
    write(fixed.parent / ".out.former", "whole", "deep/whole")
    recover(fixed)
    assert content(fixed) == ["deep/whole", "whole"] and names(fixed.parent) == ["out"]


def test_two_take_each_other_s_place_by_copy(fixed, tmp_path):
    other = write(tmp_path / "other", "second")
    exchange(other, fixed)
    assert content(fixed) == ["second"] and content(other) == ["deep/first", "first"]
    exchange(other, fixed)
    assert content(other) == ["second"] and names(tmp_path) == ["other", "out"]


def test_two_that_could_not_stay_as_they_were(fixed, tmp_path, monkeypatch):
    other = write(tmp_path / "other", "second")
    refill = swap.refill

    def fail(folder, new):
        monkeypatch.setattr(swap, "refill", refill)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(swap, "refill", fail)
    with pytest.raises(OSError, match="No space"):
        exchange(other, fixed)
    assert content(fixed) == ["deep/first", "first"] and content(other) == ["second"]


def test_all_work_for_a_volume_is_done_inside_it(volume):
    with replacing(volume) as folder:
        assert folder.parent == volume and names(volume.parent) == ["out"]
        write(folder, "second")
    assert content(volume) == ["second"] and (volume / "lost+found").is_dir()


def test_a_volume_keeps_what_others_are_at_in_it(volume):
    with replacing(volume) as slow:
        write(slow, "slow")
        with replacing(volume) as fast:
            write(fast, "fast")
        assert slow.is_dir() and (volume / "fast").exists()
    assert content(volume) == ["slow"]


def test_the_working_directory_stays_where_it_is(out, monkeypatch):
    monkeypatch.chdir(out)
    with replacing(Path()) as folder:
        write(folder, "second")
    assert names(Path()) == ["second"] and content(out) == ["second"]


def test_a_link_stays_and_where_it_leads_to_is_replaced(out, tmp_path):
    link = tmp_path / "here/link"
    link.parent.mkdir()
    link.symlink_to(out)
    with replacing(link) as folder:
        write(folder, "second")
    assert link.is_symlink() and content(out) == ["second"]
    assert names(link.parent) == ["link"] and names(tmp_path) == ["here", "out"]


def test_a_link_to_a_folder_that_is_still_missing(tmp_path):
    (tmp_path / "link").symlink_to("there/out")
    with replacing(tmp_path / "link") as folder:
        write(folder, "second")
    assert (tmp_path / "link").is_symlink() and content(tmp_path / "there/out") == ["second"]


def test_another_error_is_told_and_changes_nothing(out, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EACCES, "Permission denied", str(source))

    monkeypatch.setattr(swap, "_exchange_at_once", lambda one, other: False)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        put(write(tmp_path / "new", "second"), out)
    assert content(out) == ["deep/first", "first"]
