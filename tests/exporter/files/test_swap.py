from __future__ import annotations

import pytest

from exporter.files import swap
from exporter.files.swap import replacing


def content(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_folder_takes_the_place_of_the_old(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
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


def test_what_a_killed_process_left_is_deleted(tmp_path):
    left = tmp_path / ".out.999999999.building"
    left.mkdir()
    with replacing(tmp_path / "out"):
        pass
    assert content(tmp_path) == ["out"]


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
    aside = tmp_path / ".out.999999999.replaced"
    aside.mkdir()
    (aside / "first").touch()
    with pytest.raises(RuntimeError), replacing(tmp_path / "out"):
        raise RuntimeError
    assert content(tmp_path) == ["first", "out"]
