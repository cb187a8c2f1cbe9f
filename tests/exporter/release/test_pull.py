"""A pull from a folder: what is fetched, mended, refused for want of room, and kept."""

from __future__ import annotations

import os
from collections import namedtuple

import pytest

from exporter.errors import EnvironmentProblem
from exporter.files.lock import alone
from exporter.release import fetch
from exporter.release.names import WantedRelease
from exporter.release.publish import publish
from exporter.release.pull import pull
from exporter.release.release_errors import NoSuchRelease
from exporter.release.stores import FolderStore
from exporter.release.verified import verify
from exporter.runtime.bundle import Bundle
from tests.exporter.release.pulled import get, pull_killed, same
from tests.releasable import KEY, TRUSTED, served, write_releasable


def test_from_a_folder_it_is_the_bundle_that_was_released_and_it_runs(store, releasable, tmp_path):
    pulled = get(store, tmp_path)
    assert pulled.installed.folder == tmp_path / "toy/cpu" and pulled.former is None
    assert same(tmp_path / "toy/cpu", releasable)
    assert not Bundle.open(tmp_path / "toy/cpu").generate("a red ball").is_empty
    assert verify(tmp_path / "toy/cpu", TRUSTED).kind == "bundle"
    assert sorted(p.name for p in (tmp_path / "toy").iterdir()) == ["cpu"]


def test_a_second_pull_fetches_nothing(store, tmp_path):
    get(store, tmp_path)
    assert get(store, tmp_path).fetched is None


def test_versions_and_channels(store, tmp_path):
    assert get(store, tmp_path, "toy@candidate").installed.release.version == "1.1.0"
    assert get(store, tmp_path, "toy@1.0.0").installed.release.version == "1.0.0"
    with pytest.raises(NoSuchRelease, match=r"versions: 1\.0\.0, 1\.1\.0; channels: candidate \(1\.1\.0\)"):
        get(store, tmp_path, "toy@2.0.0")
    with pytest.raises(NoSuchRelease, match="there are: toy"):
        get(store, tmp_path, "other")


def test_a_damaged_bundle_is_mended_by_fetching_its_bad_files_alone(store, tmp_path):
    folder = get(store, tmp_path).installed.folder
    (folder / "field.onnx").write_bytes(b"?")
    (folder / "stray.txt").write_text("?")
    assert get(store, tmp_path).fetched.files == 1
    assert verify(folder, TRUSTED) and not (folder / "stray.txt").exists()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("?")])
def test_a_signature_that_is_missing_or_damaged_is_mended_too(store, tmp_path, damage):
    folder = get(store, tmp_path).installed.folder
    damage(folder / "reports/release.json.minisig")
    assert get(store, tmp_path).fetched.files == 0
    assert verify(folder, TRUSTED)


def test_a_signature_is_fetched_once(store, tmp_path):
    with served(store) as (url, server):
        get(url, tmp_path)
    assert sum(path.endswith(".minisig") for path, _ in server.requests) == 1


def leave_room(monkeypatch, free):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage(1, 1, free))


def test_a_full_disk_is_told_before_anything_is_fetched(store, tmp_path, monkeypatch):
    leave_room(monkeypatch, 0)
    with pytest.raises(EnvironmentProblem, match="nothing was fetched"):
        get(store, tmp_path)


def test_no_room_is_asked_for_what_was_fetched_before(store, tmp_path, monkeypatch):
    pull_killed(store, tmp_path, at=1.0)
    files = get(store, tmp_path / "other").installed.archive.files
    last = max(files.values(), key=lambda file: file.frame.offset)
    leave_room(monkeypatch, last.size)
    assert get(store, tmp_path).fetched.bytes == 0


def test_room_is_asked_for_the_copy_of_the_version_in_place(store, tmp_path, monkeypatch):
    folder = get(store, tmp_path).installed.folder
    files = get(store, tmp_path / "other", "toy@candidate").installed.archive.files.values()
    new = sum(file.size for file in files) + max(file.frame.size for file in files)
    in_place = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    leave_room(monkeypatch, new + in_place - 1)
    with pytest.raises(EnvironmentProblem, match="nothing was fetched"):
        get(store, tmp_path, "toy@candidate")
    leave_room(monkeypatch, new + in_place)
    assert get(store, tmp_path, "toy@candidate").fetched


def test_two_pulls_at_once(store, tmp_path):
    folder = tmp_path / "toy/cpu"
    with alone(folder), pytest.raises(EnvironmentProblem, match=f"process {os.getpid()}"):
        get(store, tmp_path)
    assert get(store, tmp_path).fetched


def test_several_bundles_are_chosen_from(tmp_path):
    bundles = [write_releasable(tmp_path / name / "cpu") for name in ("one", "two")]
    from exporter.manifest import read_manifest, write_manifest
    from tests.releasable import QUALITY, record

    write_manifest(bundles[1], read_manifest(bundles[1]).model_copy(update={"name": "toy/orin"}))
    record(bundles[1], QUALITY)
    publish(bundles, tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")
    with pytest.raises(NoSuchRelease, match="several bundles: name one of toy/cpu, toy/orin"):
        get(tmp_path / "store", tmp_path / "pulled")
    pulled = pull(WantedRelease.parse("toy"), FolderStore(tmp_path / "store"), tmp_path / "pulled", TRUSTED, "toy/orin")
    assert pulled.installed.name == "toy/orin"
