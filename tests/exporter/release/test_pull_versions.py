"""The version in place and the one before it, whatever a pull or a rollback ends with."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from exporter.errors import BundleError
from exporter.files import swap
from exporter.release import pull as pulling
from exporter.release.installed import Installed, roll_back
from exporter.release.publish import publish
from exporter.release.release_errors import NoSuchRelease
from exporter.release.verified import verify
from exporter.runtime.bundle import Bundle
from tests.exporter.release.pulled import get, litter, same
from tests.releasable import KEY, TRUSTED, write_releasable


def test_rollback_puts_the_version_before_back_and_forth(store, tmp_path):
    get(store, tmp_path)
    pulled = get(store, tmp_path, "toy@candidate")
    assert pulled.former is not None and pulled.former.release.version == "1.0.0"
    folder = pulled.installed.folder
    for version in ("1.0.0", "1.1.0"):
        _, now = roll_back(folder, TRUSTED)
        assert now.release.version == version == Installed.verified(folder, TRUSTED).release.version
        assert not Bundle.open(folder).generate("a red ball").is_empty


def test_a_damaged_version_does_not_take_the_place_of_the_one_before(store, tmp_path):
    get(store, tmp_path)
    folder = get(store, tmp_path, "toy@candidate").installed.folder
    for name in ("manifest.json", "field.onnx"):
        (folder / name).write_bytes(b"?")
        get(store, tmp_path, "toy@1.0.0")
        assert Installed.verified(folder, TRUSTED).release.version == "1.0.0"
        assert Installed.verified(folder.with_name("cpu.before"), TRUSTED)
        get(store, tmp_path, "toy@candidate")


def test_a_pull_that_fails_late_keeps_the_version_before(store, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    third = publish([write_releasable(tmp_path / "third", steps=5)], own / "toy-1.2.0", KEY, "next", "mit").release
    get(own, tmp_path)
    folder = get(own, tmp_path, "toy@candidate").installed.folder
    staged = tmp_path / "toy/.cpu.pulling" / third.bundles["toy/cpu"].files["denoiser.onnx"].sha256
    staged.parent.mkdir()
    staged.write_bytes(b"?")
    with pytest.raises(BundleError, match=r"denoiser\.onnx: changed"):
        get(own, tmp_path, "toy@next")
    assert Installed.verified(folder, TRUSTED).release.version == "1.1.0"
    assert Installed.verified(folder.with_name("cpu.before"), TRUSTED).release.version == "1.0.0"
    assert get(own, tmp_path, "toy@next").installed.release == third


def test_a_pull_that_cannot_be_put_in_place_keeps_the_version_before(store, releasable, tmp_path, monkeypatch):
    own = shutil.copytree(store, tmp_path / "store")
    publish([write_releasable(tmp_path / "third", steps=5)], own / "toy-1.2.0", KEY, "next", "mit")
    get(own, tmp_path)

    def refuse(new, folder):
        raise OSError(errno.EACCES, "Permission denied", str(folder))

    for wanted, before in (("toy@candidate", None), ("toy@next", "1.0.0")):
        with monkeypatch.context() as patch, pytest.raises(PermissionError):
            patch.setattr(pulling, "put", refuse)
            get(own, tmp_path, wanted)
        kept = Installed.find(tmp_path / "toy/cpu.before", "toy/cpu")
        assert (kept and kept.release.version) == before
        get(own, tmp_path, "toy@candidate")
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == [".cpu.pulling", "cpu", "cpu.before"]


def test_a_folder_that_cannot_be_renamed_is_pulled_into_and_rolled_back(store, tmp_path, monkeypatch):
    """It lies in a lower layer of a container."""
    folder, rename = get(store, tmp_path).installed.folder, os.rename

    def refuse(source, target):
        if Path(source) == folder:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        return rename(source, target)

    monkeypatch.setattr(swap, "_exchange_at_once", lambda one, other: False)
    monkeypatch.setattr(os, "rename", refuse)
    get(store, tmp_path, "toy@candidate")
    for version in ("1.0.0", "1.1.0"):
        assert roll_back(folder, TRUSTED)[1].release.version == version
    assert Installed.verified(folder.with_name("cpu.before"), TRUSTED).release.version == "1.0.0"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["cpu", "cpu.before"]


def test_a_link_to_a_folder_of_another_disk_stays_and_the_folder_is_pulled_into(store, tmp_path, monkeypatch):
    disk, replace = tmp_path / "disk", os.replace

    def refuse(source, target):
        if Path(source).is_relative_to(disk) != Path(target).is_relative_to(disk):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        return replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / "toy").mkdir()
    disk.mkdir()
    (tmp_path / "toy/cpu").symlink_to(disk / "bundle")
    for wanted in ("toy", "toy@candidate"):
        get(store, tmp_path, wanted)
    assert Installed.verified(disk / "bundle", TRUSTED).release.version == "1.1.0"
    assert roll_back(tmp_path / "toy/cpu", TRUSTED)[1].release.version == "1.0.0"
    assert (tmp_path / "toy/cpu").is_symlink() and [path.name for path in disk.iterdir()] == ["bundle"]


def test_what_a_killed_pull_had_emptied_comes_back_first(store, tmp_path):
    folder = get(store, tmp_path).installed.folder
    folder.rename(folder.with_name(".cpu.former"))
    (folder / "text_encoder").mkdir(parents=True)
    assert get(store, tmp_path, "toy@candidate").former.release.version == "1.0.0"


def test_a_bundle_that_was_built_here_is_kept_as_the_one_before(store, releasable, tmp_path):
    shutil.copytree(releasable, tmp_path / "toy/cpu")
    get(store, tmp_path)
    assert same(tmp_path / "toy/cpu.before", releasable)


def test_what_lies_beside_a_pulled_bundle_costs_no_version(store, tmp_path):
    folder = get(store, tmp_path).installed.folder
    litter(folder)
    get(store, tmp_path, "toy@candidate")
    assert verify(folder.with_name("cpu.before"), TRUSTED)
    litter(folder)
    for version in ("1.0.0", "1.1.0"):
        assert roll_back(folder, TRUSTED)[1].release.version == version
    with pytest.raises(BundleError) as refusal:
        verify(folder, TRUSTED)
    named = [line.strip() for line in str(refusal.value).splitlines() if line.startswith("  ")]
    assert named == [f"{name}: not in the release" for name in ("client/", "reports/.DS_Store")]


def test_an_empty_folder_does_not_take_the_place_of_the_version_before(store, tmp_path):
    get(store, tmp_path)
    folder = get(store, tmp_path, "toy@candidate").installed.folder
    shutil.rmtree(folder)
    folder.mkdir()
    get(store, tmp_path, "toy@candidate")
    assert Installed.verified(folder.with_name("cpu.before"), TRUSTED).release.version == "1.0.0"


def test_a_tampered_version_before_is_not_put_in_place(store, tmp_path):
    get(store, tmp_path)
    folder = get(store, tmp_path, "toy@candidate").installed.folder
    (folder.with_name("cpu.before") / "field.onnx").write_bytes(b"?")
    with pytest.raises(BundleError, match=r"field\.onnx: changed"):
        roll_back(folder, TRUSTED)
    assert Installed.verified(folder, TRUSTED).release.version == "1.1.0"


def test_there_is_nothing_before_the_first(store, tmp_path):
    with pytest.raises(NoSuchRelease, match="no version before"):
        roll_back(get(store, tmp_path).installed.folder, TRUSTED)


def test_something_else_in_the_place_is_not_replaced(store, tmp_path):
    (tmp_path / "toy/cpu").mkdir(parents=True)
    (tmp_path / "toy/cpu/thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle"):
        get(store, tmp_path)
    assert (tmp_path / "toy/cpu/thesis.txt").read_text() == "mine"
