"""What lies beside a bundle refuses no command and is told in one line."""

from __future__ import annotations

import pytest

from t3export.cli import run
from tests.releasable import write_releasable
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import fresh, prove, toy_family

BESIDE = [
    ".DS_Store",
    "._field.onnx",
    ".nfs0001",
    "Thumbs.db",
    "desktop.ini",
    ".gitattributes",
    "__pycache__/verify.pyc",
]
MODULES = [f"client/node_modules/{number:04}.js" for number in range(1175)]
TOLD = "no part of the bundle, and left alone: .DS_Store, ._field.onnx, .gitattributes and 5 more"


def litter(folder):
    for name in (*BESIDE, *MODULES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"?")
    return folder


@pytest.fixture(scope="module")
def proved(tmp_path_factory):
    return prove(write_toy_bundle(tmp_path_factory.mktemp("proved") / "bundle"))


def told(capsys):
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "verb",
    [
        ["inspect", "BUNDLE"],
        ["run", "BUNDLE", "--prompt", "a red ball", "-o", "HERE/ball.glb", "--grid", "16"],
        ["validate", "BUNDLE", "--no-quality"],
        ["diff", "BUNDLE", "PROVED"],
    ],
)
def test_a_verb_goes_on_and_tells_it_once(verb, proved, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "cache"))
    places = {"BUNDLE": str(litter(fresh(proved, tmp_path))), "HERE": str(tmp_path), "PROVED": str(proved)}
    arguments = [verb[0]]
    for word in verb[1:]:
        for name, place in places.items():
            word = word.replace(name, place)
        arguments.append(word)
    with toy_family(proved):
        assert run(arguments) == 0
    assert told(capsys).count(TOLD) == 1


def test_what_is_released_is_what_was_listed(tmp_path, capsys):
    bundle = litter(write_releasable(tmp_path / "cpu"))
    assert run(["keys", "new", str(tmp_path / "release.key")]) == 0
    out = ["-o", str(tmp_path / "store/toy-1.0.0"), "--key", str(tmp_path / "release.key"), "--license", "mit"]
    assert run(["release", str(bundle), *out]) == 0
    assert told(capsys).count(TOLD) == 1
    assert run(["verify", str(tmp_path / "store"), "--trust", str(tmp_path / "release.pub")]) == 0
