"""What lies in a bundle's folder and is no part of it harms nothing and is named in one line."""

from __future__ import annotations

import json
import os

import pytest

from exporter.manifest import read_manifest, require_whole
from exporter.runtime.beside import beside, beside_former, beside_note

LEFT_BEHIND = [
    ".DS_Store", "Thumbs.db", "desktop.ini", "._field.onnx", ".nfs000001", ".gitattributes",
    ".ipynb_checkpoints/field.onnx", "__pycache__/verify.cpython-310.pyc", "tokenizer/.DS_Store",
    "client/node_modules/a/b.js",
]  # fmt: skip


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_others_leave_behind_is_no_damage(own_bundle, name):
    (own_bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (own_bundle / name).write_bytes(b"?")
    manifest = require_whole(own_bundle)
    [found] = beside(own_bundle, manifest)
    assert name.startswith(found.rstrip("/"))


def test_a_whole_bundle_has_nothing_beside_it(own_bundle):
    (own_bundle / "reports").mkdir(exist_ok=True)
    (own_bundle / "reports/report.json").write_text("{}")
    assert beside_note(own_bundle, read_manifest(own_bundle)) == ""


def test_however_much_there_is_one_line_tells_it(own_bundle):
    for number in range(1174):
        (own_bundle / f"{number:04}.tmp").write_bytes(b"?")
    note = beside_note(own_bundle, read_manifest(own_bundle))
    assert note.endswith("left alone: 0000.tmp, 0001.tmp, 0002.tmp and 1,171 more")


def test_a_folder_beside_is_not_entered(own_bundle, monkeypatch):
    (own_bundle / "node_modules").mkdir()
    entered, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (entered.append(folder.name), scandir(folder))[1])
    assert beside(own_bundle, read_manifest(own_bundle)) == ["node_modules/"]
    assert own_bundle.name in entered and "node_modules" not in entered


def test_of_a_bundle_that_is_to_be_replaced_what_is_somebodys_is_known(own_bundle):
    for name in ("client/node_modules/a.js", "notes.txt", "reports/report.json"):
        (own_bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (own_bundle / name).touch()
    ours = own_bundle / f".{own_bundle.name}.1.building"
    ours.mkdir()
    assert beside_former(own_bundle) == ["client/", "notes.txt"]
    # A manifest of another version says so too, one that is damaged cannot.
    path = own_bundle / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 1}))
    assert beside_former(own_bundle) == ["client/", "notes.txt"]
    path.write_text(path.read_text()[:-9])
    assert beside_former(own_bundle) == []
    path.unlink()
    assert beside_former(own_bundle) == []
