"""Keys on disk: the secret one as PKCS#8 PEM, perhaps encrypted; public ones in minisign's format."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.files.home import own_folder
from exporter.release.minisign import PublicKey, Signature
from exporter.release.release_errors import KeyProblem

PASSWORD = "T3EXPORT_KEY_PASSWORD"
TRUSTED_FOLDER = "T3EXPORT_TRUSTED_KEYS"
SECRET_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"


def make_key(path: Path) -> PublicKey:
    """Writes a new secret key, readable by its owner alone, and the public one beside it with the suffix .pub.

    The secret key is encrypted where $T3EXPORT_KEY_PASSWORD is set. Raises KeyProblem where either file is there, or
    both would be one.
    """
    if path.suffix.lower() == PUBLIC_SUFFIX:
        raise KeyProblem(
            f"{path}: the public key gets the suffix {PUBLIC_SUFFIX}; name the secret one otherwise, as in "
            f"{path.with_suffix(SECRET_SUFFIX)}"
        )
    public = path.with_suffix(PUBLIC_SUFFIX)
    for file in (path, public):
        if file.exists():
            raise KeyProblem(f"{file}: is there; a key that is lost cannot be made again, so it is never overwritten")
    key = Ed25519PrivateKey.generate()
    password = _password()
    protection: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    made = PublicKey.of(key)
    public.write_text(made.text, encoding="ascii")
    return made


def read_key(path: Path) -> Ed25519PrivateKey:
    """The secret key in a file. Raises KeyProblem that says whether it is missing, locked or something else."""
    try:
        key = load_pem_private_key(path.read_bytes(), _password())
    except FileNotFoundError:
        raise KeyProblem(f"{path}: no such key; `t3export keys new {path}` makes one") from None
    except TypeError:
        state = "is not encrypted: unset" if _password() else "is encrypted: put its password into"
        raise KeyProblem(f"{path}: {state} ${PASSWORD}") from None
    except ValueError:
        reason = f"or ${PASSWORD} is not its password" if _password() else "as `t3export keys new` writes it"
        raise KeyProblem(f"{path}: not a secret key in PEM, {reason}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"{path}: not an Ed25519 key; `t3export keys new` makes one")
    return key


def read_public(given: str) -> PublicKey:
    """The public key in a file, or given as its text. Raises KeyProblem."""
    path = Path(given)
    try:
        text, what = path.read_text(encoding="utf-8"), given
    except UnicodeDecodeError:
        raise KeyProblem(f"{given}: not a public key; `t3export keys new` writes one, ending in .pub") from None
    except OSError:
        if path.suffix == PUBLIC_SUFFIX:
            raise KeyProblem(f"{given}: no such file, or none that can be read") from None
        text, what = given, "what was given names no file, and"
    return PublicKey.parse(text, what)


@dataclass(frozen=True)
class TrustedKeys:
    """The keys that are believed; `where` says where they were looked for."""

    keys: tuple[PublicKey, ...]
    where: str

    @classmethod
    def choose(cls, given: Iterable[str] = ()) -> TrustedKeys:
        """Those given, else all in the folder of trusted keys. Raises KeyProblem where there is none."""
        if named := tuple(read_public(one) for one in given):
            return cls(named, "the given keys")
        folder = trusted_folder()
        kept = tuple(read_public(str(path)) for path in sorted(folder.glob(f"*{PUBLIC_SUFFIX}")))
        if not kept:
            raise KeyProblem(
                "no public key to verify with: name the publisher's with --trust FILE.pub, or keep it for later with "
                "`t3export keys trust FILE.pub`"
            )
        return cls(kept, str(folder))

    def verify(self, content: bytes, signature: str, what: str) -> PublicKey:
        """The key that signed the content.

        Raises KeyProblem for a key that is not among these, BundleError for a damaged signature or content.
        """
        parsed = Signature.parse(signature, f"{what}: signature")
        for key in self.keys:
            if key.id == parsed.key_id:
                key.verify(content, parsed, what)
                return key
        stranger = parsed.key_id[::-1].hex().upper()
        raise KeyProblem(
            f"{what}: signed by key {stranger}, which is not among {self.where} "
            f"({', '.join(key.name for key in self.keys)}). If you know whose it is: --trust FILE.pub"
        )


def trust(public: PublicKey) -> Path:
    """Keeps a public key among the trusted ones; gives its file."""
    folder = trusted_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{public.name}{PUBLIC_SUFFIX}"
    path.write_text(public.text, encoding="ascii")
    return path


def trusted_folder() -> Path:
    """$T3EXPORT_TRUSTED_KEYS, else ~/.config/t3export/trusted. Raises EnvironmentProblem where there is neither."""
    return own_folder(TRUSTED_FOLDER, ".config", "t3export", "trusted")


def _password() -> bytes | None:
    return os.environ.get(PASSWORD, "").encode() or None
