"""`release`, `pull`, `verify` and `keys` from outside: exit codes, stdout, and what is left on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from exporter.manifest import record_verdict, require_whole
from exporter.release.sigstore_signature import Identity
from t3export.cli import run
from tests.releasable import served, write_releasable


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, a key, and a store with toy 1.0.0 and 1.1.0 in the channels stable and candidate."""
    folder = tmp_path_factory.mktemp("world")
    assert run(["keys", "new", str(folder / "release.key")]) == 0
    for version, steps, channel in (("1.0.0", 3, "stable"), ("1.1.0", 4, "candidate")):
        bundle = write_releasable(folder / version / "cpu", steps)
        out = folder / f"store/toy-{version}"
        arguments = [str(bundle), "-o", str(out), "--key", str(folder / "release.key"), "--channel", channel]
        assert run(["release", *arguments, "--license", "mit"]) == 0
    return folder


def pull(world: Path, into: Path, *more: str) -> int:
    return run(["pull", *more, "--trust", str(world / "release.pub"), "-o", str(into), "--json"])


def said(capsys: pytest.CaptureFixture) -> dict:
    return json.loads(capsys.readouterr().out)


def test_release_pull_run_upgrade_and_roll_back(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(world / "store") as (url, _):
        assert pull(world, tmp_path, "toy", "--from", url) == 0
        first = said(capsys)
        assert first["release"] == "toy-1.0.0" and first["fetched"]["reused"] == 0 and first["before"] is None
        assert pull(world, tmp_path, "toy@candidate", "--from", url) == 0
    second = said(capsys)
    assert second["before"] == "toy-1.0.0" and second["fetched"]["reused"] > second["fetched"]["files"]
    assert run(["run", second["bundle"], "--prompt", "a red ball", "-o", str(tmp_path / "ball.glb")]) == 0
    capsys.readouterr()
    assert pull(world, tmp_path, "toy", "--rollback") == 0
    assert said(capsys) | {"fetched": 0} == second | {"release": "toy-1.0.0", "before": "toy-1.1.0"} | {
        "fetched": 0,
        "version": "1.0.0",
    }
    monkeypatch.setenv("T3EXPORT_TRUSTED_KEYS", str(tmp_path / "trusted"))
    assert run(["keys", "trust", str(world / "release.pub")]) == 0
    assert run(["verify", str(tmp_path / "toy/cpu")]) == 0
    assert "as signed" in capsys.readouterr().out


def test_a_bundle_that_was_lost_is_rolled_back_to_the_version_before(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for version in ("toy", "toy@candidate"):
        assert pull(world, tmp_path, version, "--from", str(world / "store")) == 0
    shutil.rmtree(tmp_path / "toy/cpu")
    capsys.readouterr()
    assert pull(world, tmp_path, "toy", "--rollback") == 0
    now = said(capsys)
    assert (now["bundle"], now["release"], now["before"]) == (str(tmp_path / "toy/cpu"), "toy-1.0.0", None)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["cpu"]


def test_an_interrupted_pull_says_how_to_go_on(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("t3export.commands.pull.pull", interrupt)
    assert pull(world, tmp_path, "toy", "--from", str(world / "store")) == 130
    assert "to go on: t3export pull toy --from" in " ".join(capsys.readouterr().err.split())


def test_nothing_is_pulled_into_a_bundle(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bundle = shutil.copytree(world / "1.0.0/cpu", tmp_path / "cpu")
    assert pull(world, bundle, "toy", "--from", str(world / "store")) == 2
    assert "is a bundle" in said(capsys)["error"]["message"]
    require_whole(bundle)


def test_verify_names_what_was_changed(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = shutil.copytree(world / "store", tmp_path / "store")
    trust = ["--trust", str(world / "release.pub")]
    assert run(["verify", str(store), *trust, "--json"]) == 0
    assert said(capsys)["names"] == ["toy-1.0.0", "toy-1.1.0"]
    (store / "toy-1.1.0/README.md").write_text("the best model in the world")
    assert run(["verify", str(store), *trust]) == 4
    assert "README.md" in capsys.readouterr().err
    assert run(["verify", str(world / "1.0.0/cpu"), *trust]) == 4
    assert "t3export release" in capsys.readouterr().err
    assert run(["verify", str(tmp_path), *trust]) == 4


def test_a_signature_by_an_identity_is_added_and_checked_where_it_is_asked_for(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    monkeypatch.setattr("exporter.release.sigstore_signature.sign", lambda content: b"{}")
    monkeypatch.setattr("exporter.release.verified.verify_sigstore", lambda *given: checked.append(given[2]))
    folder = tmp_path / "store/toy-1.0.0"
    arguments = [str(world / "1.0.0/cpu"), "-o", str(folder), "--key", str(world / "release.key"), "--license", "mit"]
    assert run(["release", *arguments, "--sigstore"]) == 0
    assert (folder / "release.json.sigstore.json").read_bytes() == b"{}"
    capsys.readouterr()
    verify = ["verify", str(folder), "--trust", str(world / "release.pub")]
    assert run(verify) == 0
    told = capsys.readouterr()
    assert "as signed" in told.out and "toy-1.0.0; that was not checked" in " ".join(told.err.split())
    identity = ["--identity", "me@example.org", "--issuer", "https://accounts.example.org"]
    assert run([*verify, *identity]) == 0
    assert "by me@example.org too" in capsys.readouterr().out and checked == [Identity(*identity[1::2])]
    assert run([*verify, *identity, "--json"]) == 0
    assert said(capsys)["sigstore_checked"]
    for half in (identity[:2], identity[2:], [*identity[:3], ""], ["--identity", "", "--issuer", ""]):
        assert run([*verify, *half]) == 2
        assert "go together" in " ".join(capsys.readouterr().err.split())


def test_a_refused_release_says_why_and_exits_with_5(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    bundle = shutil.copytree(world / "1.0.0/cpu", tmp_path / "cpu")
    record_verdict(bundle, None)
    arguments = ["release", str(bundle), "-o", str(tmp_path / "store/toy-1.0.0"), "--key", str(world / "release.key")]
    assert run(arguments) == 5
    assert f"t3export validate {bundle}" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (["release", "x", "-o", "s/toy-1.0.0", "--key", "missing.key"], 2, "keys new missing.key"),
        (["release", "x", "-o", "s/toy-1.0.0", "--key", "k", "--channel", "Bad Name"], 2, "a channel is a word"),
        (["pull", "toy@latest!", "--from", "s"], 2, "write NAME"),
        (["pull", "toy"], 2, "where from? --from STORE"),
        (["pull", "toy", "--from", "s"], 2, "no public key to verify with"),
        (["verify", "x"], 2, "keys trust"),
        (["keys", "trust", "nonsense"], 2, "not a public key"),
    ],
)
def test_wrong_input(
    arguments: list[str],
    code: int,
    told: str,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("T3EXPORT_TRUSTED_KEYS", str(tmp_path / "trusted"))
    assert run(arguments) == code
    assert told in " ".join(capsys.readouterr().err.split())


def test_where_from_and_which_bundle(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert pull(world, tmp_path, "toy") == 2
    assert "--from STORE" in " ".join(capsys.readouterr().err.split())
    assert pull(world, tmp_path, "toy", "--from", str(world / "store"), "--bundle", "orin") == 2
    assert "name one of toy/cpu" in capsys.readouterr().err
    assert pull(world, tmp_path, "toy", "--rollback") == 2
    assert "there are: none" in " ".join(capsys.readouterr().err.split())
    assert pull(world, tmp_path, "toy", "--from", str(tmp_path)) == 6
