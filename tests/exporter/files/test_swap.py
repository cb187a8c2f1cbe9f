from __future__ import annotations

import os
import subprocess
import sys

import pytest

from exporter.errors import BundleError, EnvironmentProblem
from exporter.files import lock, swap
from exporter.files.swap import replacing


def content(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_folder_takes_the_place_of_the_old(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(swap, "_exchange_at_once", lambda one, other: False)
    for name in ("first", "second"):
        with replacing(tmp_path / "out") as folder:
            (folder / name).touch()
    assert content(tmp_path) == ["out", "second"]


def test_an_error_leaves_the_old_folder(tmp_path):
    with replacing(tmp_path / "out") as folder:
        (folder / "first").touch()
    with pytest.raises(RuntimeError), replacing(tmp_path / "out") as folder:
        (folder / "second").touch()
        raise RuntimeError
    assert content(tmp_path) == ["first", "out"]


@pytest.mark.parametrize("number", [1, 999999999])
def test_what_a_killed_process_left_is_deleted_whoever_has_its_number_now(tmp_path, number):
    (tmp_path / f".out.{number}.building").mkdir()
    with replacing(tmp_path / "out"):
        pass
    assert content(tmp_path) == ["out"]


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    kill = "import os, pathlib, sys\nfrom exporter.files.swap import replacing\n"
    kill += "with replacing(pathlib.Path(sys.argv[1])) as folder: (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", kill, tmp_path / "out"])
    assert "half" in content(tmp_path) and "out" not in content(tmp_path)
    with replacing(tmp_path / "out"):
        pass
    assert content(tmp_path) == ["out"]


def test_two_processes_of_the_same_number_do_not_touch_each_other_s(tmp_path):
    """In two containers both are number 1; here both are this one."""
    with replacing(tmp_path / "out") as first:
        (first / "first").touch()
        with replacing(tmp_path / "out") as second:
            (second / "second").touch()
        assert content(tmp_path / "out") == ["second"]
    assert content(tmp_path) == ["first", "out"]


def test_without_locks_all_works_and_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(38, "Function not implemented")

    left = tmp_path / ".out.999999999.building"
    left.mkdir()
    monkeypatch.setattr(lock, "_claim", refuse)
    with replacing(tmp_path / "out") as folder:
        (folder / "first").touch()
    assert content(tmp_path / "out") == ["first"] and left.exists()


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="file: cannot be written"), replacing(tmp_path / "file/out"):
        pytest.fail("the work has begun")


@pytest.mark.parametrize(
    "name", [".out.notes.d", ".out.999999999.notes", ".out.999999999.building.d", ".out.old.building"]
)
def test_what_others_called_alike_stays(tmp_path, name):
    (tmp_path / name).mkdir()
    with replacing(tmp_path / "out"):
        pass
    assert content(tmp_path) == sorted([name, "out"])


@pytest.mark.parametrize("name", ["out[1]", "o*t", "o?t"])
def test_a_name_means_itself_alone(tmp_path, name):
    own, other = tmp_path / f".{name}.999999999.building", tmp_path / ".out.999999999.building"
    own.mkdir()
    other.mkdir()
    with replacing(tmp_path / name):
        pass
    assert content(tmp_path) == sorted([other.name, name])


def test_a_folder_set_aside_by_a_killed_process_comes_back(tmp_path):
    """Where the system cannot exchange two folders, a kill can come between the two renames."""
    aside = tmp_path / ".out.replaced"
    aside.mkdir()
    (aside / "first").touch()
    with pytest.raises(RuntimeError), replacing(tmp_path / "out"):
        raise RuntimeError
    assert content(tmp_path) == ["first", "out"]


@pytest.fixture
def kept(tmp_path):
    """A folder in whose place another comes, and what lies in it and is somebody's."""
    out = tmp_path / "out"
    (out / "mine/deep").mkdir(parents=True)
    (out / "mine/deep/notes").write_text("mine")
    (out / "mine/link").symlink_to("deep/notes")
    (out / "client").mkdir()
    (out / "client/mine").write_text("mine too")
    (out / "old").touch()
    return out


@pytest.mark.parametrize("means", ["exchange", "rename", "copy"])
@pytest.mark.parametrize("links", [True, False])
def test_what_lies_beside_is_in_the_new_folder(kept, monkeypatch, means, links):
    if means != "exchange":
        monkeypatch.setattr(swap, "_exchange_at_once", lambda one, other: False)
    if means == "copy":
        monkeypatch.setattr(swap, "is_fixed", lambda folder: True)
    if not links:
        monkeypatch.setattr(os, "link", lambda source, target: (_ for _ in ()).throw(OSError("no links here")))
    with replacing(kept, lambda folder: ["client/mine", "mine/"]) as folder:
        (folder / "new").touch()
    assert content(kept) == ["client", "deep", "link", "mine", "mine", "new", "notes"]
    assert (kept / "mine/link").read_text() == "mine" and (kept / "client/mine").read_text() == "mine too"
    assert content(kept.parent)[0] == "client"


def test_what_lies_beside_stays_where_the_work_fails(kept):
    before = content(kept)
    with pytest.raises(RuntimeError), replacing(kept, lambda folder: ["mine/"]):
        raise RuntimeError
    assert content(kept) == before


def test_what_lies_beside_is_never_overwritten(kept):
    before = content(kept)
    told = "mine is no part of what was there, and what is to be there now has 'mine' too: move it away"
    with pytest.raises(BundleError, match=told), replacing(kept, lambda folder: ["mine"]) as folder:
        (folder / "mine").write_text("another")
    assert content(kept) == before and (kept / "mine/deep/notes").read_text() == "mine"
