"""A second signature of release.json, by an identity in place of a key (https://docs.sigstore.dev).

`sigstore verify identity --bundle release.json.sigstore.json --cert-identity ID --cert-oidc-issuer URL release.json`
checks the same signature without this package.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from exporter.errors import EnvironmentProblem
from exporter.release.release_errors import KeyProblem
from exporter.release.statement import RELEASE_FILE

SIGSTORE_FILE = f"{RELEASE_FILE}.sigstore.json"
TOKEN = "SIGSTORE_ID_TOKEN"
NOT_INSTALLED = "signatures by an identity need sigstore: `pip install 't3export[sigstore]'`"
_WITHOUT = (
    "Nothing was released. The key's signature (minisign) stands without it: leave out --sigstore, and add it later by "
    "releasing the same content again"
)


@dataclass(frozen=True)
class Identity:
    """Who is to have signed: an e-mail address or the URL of a CI's workflow, and the URL that vouches for it."""

    name: str
    issuer: str


def sign(content: bytes) -> bytes:
    """The sigstore bundle of the content, signed by the identity in $SIGSTORE_ID_TOKEN, else by that of the CI's job.

    Raises EnvironmentProblem where sigstore is missing, there is no identity, or a service does not answer or refuses.
    """
    try:
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken
        from sigstore.sign import SigningContext
    except ImportError:
        raise EnvironmentProblem(NOT_INSTALLED) from None
    token = _token()
    try:
        context = SigningContext.from_trust_config(ClientTrustConfig.production())
        with context.signer(IdentityToken(token)) as signer:
            return signer.sign_artifact(content).to_json().encode()
    # The errors of Fulcio and Rekor have no public class, nor a base but this one.
    except Exception as error:
        raise EnvironmentProblem(
            "not signed: sigstore was asked for a certificate of this identity and an entry in its public log "
            f"({_told(error)}). {_WITHOUT}"
        ) from None


def verify(content: bytes, bundle: bytes, identity: Identity, what: str) -> None:
    """Raises KeyProblem where the bundle is damaged, or not this identity's signature of the content.

    Raises EnvironmentProblem where sigstore is missing, or its roots of trust cannot be fetched.
    """
    try:
        from sigstore.models import Bundle
        from sigstore.verify import Verifier, policy
    except ImportError:
        raise EnvironmentProblem(NOT_INSTALLED) from None
    # Bytes of a stranger: what they make the library raise is not always an error of its own.
    try:
        parsed = Bundle.from_json(bundle)
    except Exception as error:
        raise KeyProblem(f"{what}: damaged: this is not a bundle of sigstore's ({_told(error)})") from None
    try:
        verifier = Verifier.production()
    except Exception as error:
        raise EnvironmentProblem(
            f"{what}: not checked: sigstore was asked for its roots of trust ({_told(error)}). The key's signature "
            "(minisign) stands without it: leave out --identity and --issuer"
        ) from None
    try:
        verifier.verify_artifact(content, parsed, policy.Identity(identity=identity.name, issuer=identity.issuer))
    except Exception as error:
        raise KeyProblem(
            f"{what}: not a signature by {identity.name}, vouched for by {identity.issuer}, of what lies beside it "
            f"({_told(error)})"
        ) from None


def _token() -> str:
    """The token of an identity. Raises EnvironmentProblem."""
    from sigstore.errors import Error
    from sigstore.oidc import detect_credential

    try:
        token = os.environ.get(TOKEN) or detect_credential()
    except Error as error:
        raise EnvironmentProblem(f"not signed: this CI was asked for a token ({_told(error)}). {_WITHOUT}") from None
    if not token:
        raise EnvironmentProblem(
            "not signed: no identity to sign with. Release in a CI's job that may ask for a token (on GitHub: "
            f"`permissions: id-token: write`), or put one for the audience 'sigstore' into ${TOKEN}. {_WITHOUT}"
        )
    return token


def _told(error: Exception) -> str:
    """What went wrong, with its cause, which says more where a service was asked."""
    return ": ".join(str(one) or type(one).__name__ for one in (error, error.__cause__) if one)
