from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.release.names import WantedRelease, require_distinct, require_safe_path, split_folder
from exporter.release.release_errors import NoSuchRelease


@pytest.mark.parametrize(
    "path",
    ["", "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//x", "a//b", "./a", "a/", "C:/x", "c:x", "a\\b", "a\x00b",
     "a\nb", "con", "a/NUL.txt", "a.", " a", "a ", "x" * 600, "e\u0301"],
)  # fmt: skip
def test_a_path_that_leaves_its_folder_or_means_another_is_refused(path):
    with pytest.raises(ValueError, match=r"."):
        require_safe_path(path)


@given(st.text(min_size=1, max_size=30))
def test_a_path_that_is_let_through_stays_inside(text):
    try:
        path = require_safe_path(text)
    except ValueError:
        return
    inside = Path("/root/folder") / path
    assert Path("/root/folder") in inside.parents and ".." not in inside.parts


def test_two_names_of_one_file_are_refused():
    require_distinct(["a", "b/c", "b/d"])
    for paths in (["a", "a"], ["a", "A"], ["a", "a/b"], ["A/b", "a"]):
        with pytest.raises(ValueError, match=r"twice|folder of"):
            require_distinct(paths)


def test_names_and_versions():
    assert split_folder("shape_e-1.0.0") == ("shape_e", "1.0.0")
    assert split_folder("shap-e-300m-1.2.3-rc1") == ("shap-e-300m", "1.2.3-rc1")
    assert WantedRelease.parse("shape_e") == WantedRelease("shape_e", "stable")
    assert WantedRelease.parse("shape_e@candidate").is_version is False
    assert WantedRelease.parse("shap-e@1.2.3-rc1") == WantedRelease("shap-e", "1.2.3-rc1")


@pytest.mark.parametrize("text", ["shape_e", "shape_e-1.0", "../x-1.0.0", "Shape-1.0.0", "-1.0.0", "x-1.0.0/y"])
def test_what_is_no_release_s_folder(text):
    with pytest.raises(NoSuchRelease, match="NAME-VERSION"):
        split_folder(text)


@pytest.mark.parametrize("text", ["", "@1.0.0", "a@", "../a", "a@1.0", "a b"])
def test_what_cannot_be_asked_for(text):
    with pytest.raises(NoSuchRelease, match="write NAME"):
        WantedRelease.parse(text)
