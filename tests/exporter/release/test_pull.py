from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import fsspec
import pytest

from exporter.errors import BundleError, EnvironmentProblem
from exporter.files import swap
from exporter.files.lock import alone
from exporter.release import fetch
from exporter.release import pull as pulling
from exporter.release.archive import unpack
from exporter.release.installed import Installed, roll_back
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import PublicKey, sign
from exporter.release.names import WantedRelease
from exporter.release.publish import publish
from exporter.release.pull import pull
from exporter.release.release_errors import KeyProblem, NoSuchRelease, StoreProblem, StoreUnreachable
from exporter.release.signed import read_index, write_index
from exporter.release.stores import FolderStore, WebStore, open_store
from exporter.release.verified import verify
from exporter.runtime.bundle import Bundle
from tests.releasable import KEY, STRANGER, TRUSTED, served, write_releasable


def get(place, into, wanted="toy", keys=TRUSTED):
    store = open_store(str(place)) if isinstance(place, (str, os.PathLike)) else place
    return pull(WantedRelease.parse(wanted), store, into, keys)


def pull_killed(store, into, at):
    """A pull that dies when this share of the bytes has come."""

    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done >= at * total:
            raise Killed

    with pytest.raises(Killed):
        pull(WantedRelease.parse("toy"), FolderStore(store), into, TRUSTED, on_bytes=kill)


def same(one, other):
    def contents(folder):
        return {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file() and "release.json" not in p.name
        }

    return contents(one) == contents(other)


def litter(folder):
    """What following the documents and opening a folder in a file manager leaves in a bundle."""
    for name in ("client/node_modules/a/a.js", "client/node_modules/b.js", "reports/.DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"?")


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


def test_only_what_changed_is_fetched_over_http_by_ranges(store, tmp_path):
    with served(store) as (url, server):
        first = get(url, tmp_path)
        server.requests.clear()
        second = get(url, tmp_path, "toy@1.1.0")
    changed = {"denoiser.onnx", "manifest.json", "reports/report.json"}
    assert second.fetched.files == len(changed)
    assert second.fetched.reused == len(first.installed.archive.files) - len(changed)
    asked = sum(
        int(last) + 1 - int(start)
        for path, ranges in server.requests
        if path.endswith(".zst")
        for start, last in [ranges.removeprefix("bytes=").split("-")]
    )
    files = second.installed.archive.files
    assert asked == second.fetched.bytes == sum(files[name].frame.size for name in changed)
    assert all(ranges for path, ranges in server.requests if path.endswith(".zst"))


def test_a_whole_pull_is_one_request_for_the_archive(store, tmp_path):
    with served(store) as (url, server):
        get(url, tmp_path)
    assert sum(path.endswith(".zst") for path, _ in server.requests) == 1


def test_a_server_without_ranges_serves_deltas_too(store, tmp_path):
    with served(store) as (url, server):
        server.has_ranges = False
        get(url, tmp_path)
        assert get(url, tmp_path, "toy@1.1.0").fetched.files == 3


def test_a_token_is_for_the_server_and_not_for_where_it_redirects_to(store, tmp_path, monkeypatch):
    with served(store) as (url, server), served(store) as (elsewhere, other):
        server.token, server.elsewhere = "secret", elsewhere
        with pytest.raises(StoreProblem, match=r"refuses \(401\).*T3EXPORT_STORE_TOKEN"):
            get(url, tmp_path)
        monkeypatch.setenv("T3EXPORT_STORE_TOKEN", "secret")
        assert get(url, tmp_path).fetched
    assert [path for path, _ in other.requests] == ["/toy-1.0.0/toy/cpu.tar.zst"]


def test_a_signed_query_goes_with_every_file_and_is_never_told(store, tmp_path):
    signed = "?X-Sig=SE%2FCRET&valid=a b"
    with served(store) as (url, server):
        assert get(f"{url}/{signed}", tmp_path).fetched
        assert {path.partition("?")[2] for path, _ in server.requests} == {"X-Sig=SE%2FCRET&valid=a%20b"}
        for place in (f"{url}/nowhere{signed}", f"http://me:SE%2FCRET@{url[7:]}", f"http://localhost:1/{signed}"):
            with pytest.raises(StoreProblem) as raised:
                get(place, tmp_path / "other")
            assert "CRET" not in str(raised.value) and "http://" in str(raised.value)


def test_what_a_server_compresses_on_the_way_is_opened_or_told(store, tmp_path):
    with served(store) as (url, server):
        server.gzips, server.has_ranges = True, False
        assert get(url, tmp_path).fetched
        server.has_ranges = True
        with pytest.raises(StoreProblem, match=r"toy-1\.1\.0/.*compresses it on the way \(gzip\)"):
            get(url, tmp_path, "toy@1.1.0")


def test_a_page_to_log_in_is_no_damage(store, tmp_path):
    with served(store) as (url, server):
        server.has_page = True
        with pytest.raises(StoreProblem, match=r"index\.json: 127\.0\.0\.1:\d+ answers with a web page, perhaps"):
            get(url, tmp_path)


def test_any_fsspec_store(store, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(store), "/releases", recursive=True)
    try:
        assert get("memory://releases", tmp_path).fetched.files > 5
        with pytest.raises(StoreProblem, match="not there"):
            get("memory://elsewhere", tmp_path)
    finally:
        memory.rm("/releases", recursive=True)


def test_without_fsspec_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(EnvironmentProblem, match=r"t3export\[release\]"):
        open_store("s3://bucket/releases")


def test_a_connection_that_breaks_in_the_middle_of_a_file_goes_on_there(store, tmp_path):
    with served(store) as (url, server):
        server.broken_after = 1000
        pulled = get(url, tmp_path)
        ranges = [ranges for path, ranges in server.requests if path.endswith(".zst")]
    assert len(ranges) == 2 and ranges[1].startswith("bytes=1000-")
    assert pulled.fetched.bytes == sum(file.frame.size for file in pulled.installed.archive.files.values())


def test_a_killed_pull_is_resumed_by_the_next(store, tmp_path):
    pull_killed(store, tmp_path, at=0.5)
    assert not (tmp_path / "toy/cpu").exists()
    pulled = get(store, tmp_path)
    whole = sum(file.frame.size for file in pulled.installed.archive.files.values())
    assert 0 < pulled.fetched.bytes < whole * 0.6
    assert verify(tmp_path / "toy/cpu", TRUSTED)


def test_a_pull_that_was_killed_after_the_last_byte_asks_for_nothing(store, tmp_path):
    pull_killed(store, tmp_path, at=1.0)
    with served(store) as (url, server):
        assert get(url, tmp_path).fetched.bytes == 0
    assert not [path for path, _ in server.requests if path.endswith(".zst")]
    assert verify(tmp_path / "toy/cpu", TRUSTED)


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


def test_a_signature_is_fetched_once(store, tmp_path):
    with served(store) as (url, server):
        get(url, tmp_path)
    assert sum(path.endswith(".minisig") for path, _ in server.requests) == 1


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


def test_a_stranger_s_release_touches_nothing(store, tmp_path):
    with pytest.raises(KeyProblem, match=PublicKey.of(KEY).name):
        get(store, tmp_path, keys=TrustedKeys((PublicKey.of(STRANGER),), "the given keys"))
    assert not (tmp_path / "toy").exists()


def test_bytes_that_are_not_those_signed_are_never_unpacked(store, tmp_path, monkeypatch):
    own = shutil.copytree(store, tmp_path / "store")
    archive = own / "toy-1.0.0/toy/cpu.tar.zst"
    files = get(store, tmp_path / "honest").installed.archive.files
    victim = files["field.onnx"].frame
    content = bytearray(archive.read_bytes())
    content[victim.end - 1] ^= 1
    archive.write_bytes(content)
    unpacked = []
    monkeypatch.setattr(fetch, "unpack", lambda frame, name, *rest: unpacked.append(name) or unpack(frame, name, *rest))
    with pytest.raises(BundleError, match=r"field\.onnx: these bytes are not those that were signed"):
        get(own, tmp_path / "pulled")
    assert unpacked and "field.onnx" not in unpacked
    assert not list((tmp_path / "pulled/toy/.cpu.pulling").glob("*.part"))


def test_an_index_older_than_the_one_seen_is_refused(store, releasable, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    old = (own / "index.json").read_bytes()
    publish([releasable], own / "toy-1.2.0", KEY, "stable", "mit")
    get(own, tmp_path / "pulled")
    (own / "index.json").write_bytes(old)
    with pytest.raises(BundleError, match="revision 2, and 3 was seen"):
        get(own, tmp_path / "pulled")


def test_another_publisher_is_refused_until_the_index_seen_here_is_deleted(store, releasable, tmp_path):
    publish([releasable], tmp_path / "other/toy-1.0.0", STRANGER, "stable", "mit")
    stranger = TrustedKeys((PublicKey.of(STRANGER),), "the given keys")
    get(store, tmp_path / "pulled")
    seen = tmp_path / "pulled/.toy.index.json"
    with pytest.raises(KeyProblem, match=rf"last pull .* another publisher .* delete {seen}; -o"):
        get(tmp_path / "other", tmp_path / "pulled", keys=stranger)
    seen.unlink()
    assert get(tmp_path / "other", tmp_path / "pulled", keys=stranger).installed.release.version == "1.0.0"
    seen.write_bytes(b"")
    with pytest.raises(BundleError, match=f"delete {seen}"):
        get(tmp_path / "other", tmp_path / "pulled", keys=stranger)


def test_a_release_signed_but_not_listed_is_refused(store, tmp_path):
    """A mix of two signed states: the folder of one version under the name of another."""
    own = shutil.copytree(store, tmp_path / "store")
    shutil.rmtree(own / "toy-1.0.0")
    shutil.copytree(own / "toy-1.1.0", own / "toy-1.0.0")
    with pytest.raises(BundleError, match="not the one that the index lists"):
        get(own, tmp_path / "pulled")
    with pytest.raises(BundleError, match=r"not the release that index\.json lists"):
        verify(own, TRUSTED)


def test_something_else_in_the_place_is_not_replaced(store, tmp_path):
    (tmp_path / "toy/cpu").mkdir(parents=True)
    (tmp_path / "toy/cpu/thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle"):
        get(store, tmp_path)
    assert (tmp_path / "toy/cpu/thesis.txt").read_text() == "mine"


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


def test_a_server_that_is_not_there_or_has_not_the_file(store, tmp_path):
    with served(tmp_path) as (url, _), pytest.raises(StoreProblem, match=r"index\.json: not there"):
        get(url, tmp_path / "pulled")
    with pytest.raises(StoreUnreachable, match="no answer"):
        get(WebStore(url), tmp_path / "pulled")


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


def test_a_document_with_a_field_twice_is_refused(store, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    path = own / "toy-1.0.0/release.json"
    text = path.read_text().replace('"name": "toy",', '"name": "toy",\n "name": "toy",')
    path.write_text(text)
    path.with_name("release.json.minisig").write_text(sign(KEY, text.encode(), "t3export release toy 1.0.0"))
    with pytest.raises(BundleError, match="a field is there twice"):
        get(own, tmp_path / "pulled")


def test_an_index_is_written_whole(store, tmp_path):
    index = read_index(FolderStore(store), TRUSTED)
    write_index(tmp_path, index, KEY)
    assert read_index(FolderStore(tmp_path), TRUSTED) == index
    assert set(json.loads((tmp_path / "index.json").read_text())) == {"index", "signature"}
