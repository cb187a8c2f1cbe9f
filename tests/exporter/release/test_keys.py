from __future__ import annotations

import pytest

from exporter.errors import BundleError
from exporter.release.keys import TrustedKeys, make_key, read_key, read_public, trust
from exporter.release.minisign import PublicKey, sign
from exporter.release.release_errors import KeyProblem
from tests.releasable import KEY, STRANGER, TRUSTED


def test_a_new_key_signs_and_its_public_half_verifies(tmp_path):
    public = make_key(tmp_path / "deep" / "release.key")
    secret = read_key(tmp_path / "deep" / "release.key")
    keys = TrustedKeys.choose([str(tmp_path / "deep" / "release.pub")])
    assert keys.verify(b"content", sign(secret, b"content", ""), "file") == public
    assert (tmp_path / "deep" / "release.key").stat().st_mode & 0o077 == 0


def test_a_key_is_never_overwritten(tmp_path):
    make_key(tmp_path / "release.key")
    before = (tmp_path / "release.key").read_bytes()
    with pytest.raises(KeyProblem, match="never overwritten"):
        make_key(tmp_path / "release.key")
    assert (tmp_path / "release.key").read_bytes() == before


@pytest.mark.parametrize("name", ["release.pub", "release.PUB"])
def test_the_secret_key_is_not_called_as_the_public_one(tmp_path, name):
    with pytest.raises(KeyProblem, match=r"name the secret one otherwise, as in .*release\.key"):
        make_key(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_encrypted_key_wants_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("T3EXPORT_KEY_PASSWORD", "correct horse")
    public = make_key(tmp_path / "release.key")
    assert PublicKey.of(read_key(tmp_path / "release.key")) == public
    monkeypatch.setenv("T3EXPORT_KEY_PASSWORD", "wrong")
    with pytest.raises(KeyProblem, match="is not its password"):
        read_key(tmp_path / "release.key")
    monkeypatch.delenv("T3EXPORT_KEY_PASSWORD")
    with pytest.raises(KeyProblem, match="is encrypted: put its password into"):
        read_key(tmp_path / "release.key")


def test_what_is_no_secret_key(tmp_path):
    with pytest.raises(KeyProblem, match="keys new"):
        read_key(tmp_path / "missing.key")
    (tmp_path / "public.key").write_text(PublicKey.of(KEY).text)
    with pytest.raises(KeyProblem, match="not a secret key"):
        read_key(tmp_path / "public.key")


def test_a_trusted_key_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("T3EXPORT_TRUSTED_KEYS", str(tmp_path / "trusted"))
    with pytest.raises(KeyProblem, match="no public key to verify with"):
        TrustedKeys.choose()
    trust(PublicKey.of(KEY))
    assert TrustedKeys.choose().keys == (PublicKey.of(KEY),)


def test_a_stranger_is_not_believed_and_is_named():
    with pytest.raises(KeyProblem, match=PublicKey.of(STRANGER).name):
        TRUSTED.verify(b"content", sign(STRANGER, b"content", ""), "release.json")
    with pytest.raises(BundleError, match=r"release\.json: its signature does not fit"):
        TRUSTED.verify(b"other", sign(KEY, b"content", ""), "release.json")


def test_a_public_key_that_is_not_there(tmp_path):
    with pytest.raises(KeyProblem, match="no such file"):
        read_public(str(tmp_path / "missing.pub"))
    (tmp_path / "binary.pub").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyProblem, match="not a public key"):
        read_public(str(tmp_path / "binary.pub"))


def test_a_secret_key_in_place_of_the_public_one_is_never_shown(tmp_path, monkeypatch):
    for password in ("", "correct horse"):
        monkeypatch.setenv("T3EXPORT_KEY_PASSWORD", password)
        key = tmp_path / f"release{len(password)}.key"
        make_key(key)
        for given, named in ((str(key), str(key)), (key.read_text(), "what was given names no file, and")):
            with pytest.raises(KeyProblem) as refusal:
                read_public(given)
            assert str(refusal.value).startswith(f"{named} is a secret key") and ".pub" in str(refusal.value)
            assert not any(line in str(refusal.value) for line in key.read_text().splitlines())
