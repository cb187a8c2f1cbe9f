"""The second signature; the services that sign are never asked, and the library's own checks need it installed."""

from __future__ import annotations

import inspect
import shutil
import sys

import pytest

from exporter.errors import BundleError, EnvironmentProblem
from exporter.release import sigstore_signature
from exporter.release.publish import publish
from exporter.release.release_errors import KeyProblem
from exporter.release.sigstore_signature import SIGSTORE_FILE, TOKEN, Identity
from exporter.release.verified import verify
from tests.releasable import KEY, TRUSTED

ME = Identity("me@example.org", "https://accounts.example.org")


def sign(content: bytes) -> bytes:
    return b"signed: " + content


@pytest.fixture
def own(releasable, tmp_path):
    """A store with one release that has both signatures."""
    publish([releasable], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit", sign_too=sign)
    return tmp_path / "store"


@pytest.fixture
def asked(monkeypatch):
    """What sigstore is asked about, in place of asking it."""
    asked = []

    def check(content, bundle, identity, what):
        asked.append((content, identity))
        if bundle != sign(content):
            raise KeyProblem(f"{what}: another content")

    monkeypatch.setattr("exporter.release.verified.verify_sigstore", check)
    return asked


def test_the_bundle_lies_beside_the_key_s_signature(own):
    content = (own / "toy-1.0.0/release.json").read_bytes()
    assert (own / "toy-1.0.0" / SIGSTORE_FILE).read_bytes() == sign(content)
    assert (own / "toy-1.0.0/release.json.minisig").is_file()


def test_nothing_is_published_where_signing_fails(releasable, tmp_path):
    def refuse(content):
        raise EnvironmentProblem("no network")

    with pytest.raises(EnvironmentProblem, match="no network"):
        publish([releasable], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit", sign_too=refuse)
    assert list((tmp_path / "store").iterdir()) == []


def test_another_content_in_place_is_refused_before_it_is_entered_in_a_public_log(own, releasable):
    (own / "toy-1.0.0/release.json").write_text("another")
    with pytest.raises(Exception, match="raise the version"):
        publish([releasable], own / "toy-1.0.0", KEY, "stable", "mit", sign_too=lambda content: pytest.fail("signed"))


def test_a_release_keeps_its_bundle_when_a_channel_moves_and_gets_one_later(store, own, releasable):
    publish([releasable], own / "toy-1.0.0", KEY, "candidate", "mit")
    assert verify(own, TRUSTED).sigstore == ("toy-1.0.0",)
    later = shutil.copytree(store, own.parent / "later")
    publish([releasable], later / "toy-1.0.0", KEY, "stable", "mit", sign_too=sign)
    assert verify(later, TRUSTED).sigstore == ("toy-1.0.0",)


def test_without_an_identity_the_bundle_is_no_stranger_and_not_looked_at(own, asked):
    (own / "toy-1.0.0" / SIGSTORE_FILE).write_bytes(b"anything")
    assert verify(own, TRUSTED).sigstore == verify(own / "toy-1.0.0", TRUSTED).sigstore == ("toy-1.0.0",)
    assert asked == []


def test_with_an_identity_it_is_asked_for_every_release(own, releasable, asked):
    publish([releasable], own / "toy-1.1.0", KEY, "stable", "mit", sign_too=sign)
    verify(own, TRUSTED, identity=ME)
    assert asked == [((own / f"toy-{version}/release.json").read_bytes(), ME) for version in ("1.0.0", "1.1.0")]
    (own / "toy-1.1.0" / SIGSTORE_FILE).write_bytes(sign(b"another"))
    with pytest.raises(KeyProblem, match=r"toy-1\.1\.0.*another content"):
        verify(own, TRUSTED, identity=ME)
    (own / "toy-1.1.0" / SIGSTORE_FILE).unlink()
    with pytest.raises(KeyProblem, match=r"not there, so me@example\.org did not sign"):
        verify(own, TRUSTED, identity=ME)


def test_it_takes_the_place_of_no_key(own, asked):
    (own / "toy-1.0.0/release.json").write_text("{}")
    (own / "toy-1.0.0" / SIGSTORE_FILE).write_bytes(sign(b"{}"))
    with pytest.raises(BundleError, match="its signature does not fit"):
        verify(own / "toy-1.0.0", TRUSTED, identity=ME)


def test_a_pulled_bundle_is_not_asked_for_an_identity(own):
    from exporter.release.names import WantedRelease
    from exporter.release.pull import pull
    from exporter.release.stores import FolderStore

    pulled = pull(WantedRelease.parse("toy"), FolderStore(own), own.parent / "pulled", TRUSTED)
    with pytest.raises(KeyProblem, match="keeps the key's signature alone"):
        verify(pulled.installed.folder, TRUSTED, identity=ME)


def test_a_missing_package_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sigstore.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sigstore", None)
    for work in (lambda: sigstore_signature.sign(b""), lambda: sigstore_signature.verify(b"", b"", ME, "file")):
        with pytest.raises(EnvironmentProblem, match=r"pip install 't3export\[sigstore\]'"):
            work()


class TestWithTheLibrary:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch):
        pytest.importorskip("sigstore.models")
        monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: None)
        monkeypatch.delenv(TOKEN, raising=False)

    @pytest.mark.parametrize("bundle", [b"", b"{", b"[]", b"{}", b"\xff", b'{"mediaType": "text/plain"}', b"[" * 9999])
    def test_a_damaged_bundle_is_refused(self, bundle):
        with pytest.raises(KeyProblem, match=r"file: damaged: this is not a bundle"):
            sigstore_signature.verify(b"", bundle, ME, "file")

    def test_nobody_to_sign(self):
        with pytest.raises(EnvironmentProblem, match=r"no identity .*id-token: write.*SIGSTORE_ID_TOKEN.*minisign"):
            sigstore_signature.sign(b"")

    def test_a_ci_that_gives_no_token(self, monkeypatch):
        from sigstore.oidc import IdentityError

        def refuse():
            raise IdentityError("insufficient permissions")

        monkeypatch.setattr("sigstore.oidc.detect_credential", refuse)
        with pytest.raises(EnvironmentProblem, match=r"asked for a token \(insufficient permissions\).*minisign"):
            sigstore_signature.sign(b"")

    def test_services_that_do_not_answer(self, monkeypatch):
        from sigstore.errors import TUFError
        from sigstore.models import Bundle, ClientTrustConfig

        def refuse(**_):
            raise TUFError("Failed to refresh TUF metadata") from OSError("unreachable")

        monkeypatch.setattr(ClientTrustConfig, "production", refuse)
        monkeypatch.setattr(Bundle, "from_json", lambda raw: None)
        monkeypatch.setenv(TOKEN, "a token")
        with pytest.raises(
            EnvironmentProblem, match=r"certificate .* public log \(.*: unreachable\).*minisign"
        ) as told:
            sigstore_signature.sign(b"")
        assert "a token" not in str(told.value)
        with pytest.raises(EnvironmentProblem, match=r"roots of trust \(.*: unreachable\).*minisign"):
            sigstore_signature.verify(b"", b"{}", ME, "file")

    def test_the_names_that_are_used_are_there(self):
        from sigstore.models import Bundle, ClientTrustConfig
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer, SigningContext
        from sigstore.verify import Verifier, policy

        inspect.signature(IdentityToken).bind("token")
        inspect.signature(ClientTrustConfig.production).bind()
        inspect.signature(SigningContext.from_trust_config).bind("config")
        inspect.signature(SigningContext.signer).bind("context", "token")
        inspect.signature(Signer.sign_artifact).bind("signer", b"content")
        inspect.signature(Bundle.to_json).bind("bundle")
        inspect.signature(Verifier.production).bind()
        inspect.signature(Verifier.verify_artifact).bind("verifier", b"content", "bundle", "policy")
        inspect.signature(policy.Identity).bind(identity=ME.name, issuer=ME.issuer)
