"""Which wheels go along, and for which of Blender's platforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.blender.wheels import platforms_of, wheels_in
from exporter.errors import RecipeError

ANY = "t3export_runtime-0.1.0-py3-none-any.whl"
LINUX = "scipy-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


@pytest.mark.parametrize(
    "names, found",
    [
        ([ANY], []),
        ([ANY, LINUX], ["linux-x64"]),
        (["a-1-cp311-cp311-win_amd64.whl"], ["windows-x64"]),
        (["a-1-cp311-cp311-macosx_11_0_arm64.whl"], ["macos-arm64"]),
        (["a-1-cp311-abi3-macosx_11_0_universal2.whl"], ["macos-arm64", "macos-x64"]),
        (
            ["a-1-cp311-abi3-macosx_11_0_universal2.whl", "b-1-cp311-cp311-macosx_10_9_x86_64.whl"],
            ["macos-x64"],
        ),
    ],
)
def test_platforms_are_those_of_all_wheels(names, found):
    assert platforms_of([Path(name) for name in names]) == found


def test_wheels_of_two_systems_are_for_none():
    with pytest.raises(RecipeError, match="no platform that all of them are for"):
        platforms_of([Path(LINUX), Path("a-1-cp311-cp311-win_amd64.whl")])


def test_blenders_own_numpy_stays(tmp_path):
    for name in (ANY, LINUX, "numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl"):
        (tmp_path / name).touch()
    assert [path.name for path in wheels_in(tmp_path, "t3export_runtime")] == [LINUX, ANY]


def test_a_folder_without_our_wheel_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no wheel of t3export_runtime; t3export blender without --wheels prints"):
        wheels_in(tmp_path, "t3export_runtime")
