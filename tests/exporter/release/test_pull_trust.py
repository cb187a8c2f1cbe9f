"""Whose releases are taken, and what of them."""

from __future__ import annotations

import json
import shutil

import pytest

from exporter.errors import BundleError
from exporter.release import fetch
from exporter.release.archive import unpack
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import PublicKey, sign
from exporter.release.publish import publish
from exporter.release.release_errors import KeyProblem
from exporter.release.signed import read_index, write_index
from exporter.release.stores import FolderStore
from exporter.release.verified import verify
from tests.exporter.release.pulled import get
from tests.releasable import KEY, STRANGER, TRUSTED


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
