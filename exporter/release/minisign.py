"""Signatures in minisign's format (https://jedisct1.github.io/minisign): Ed25519 over BLAKE2b-512, by `cryptography`.

`minisign -V -p t3export.pub -m release.json` checks the same signature without this package.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.errors import BundleError
from exporter.release.release_errors import KeyProblem

SUFFIX = ".minisig"
_UNTRUSTED = "untrusted comment: "
_TRUSTED = "trusted comment: "
_KEY, _PREHASHED = b"Ed", b"ED"
_ID, _RAW, _SIGNATURE = 8, 32, 64


@dataclass(frozen=True)
class PublicKey:
    """Whose signatures are believed. `id`: 8 bytes that name it; `raw`: the 32 bytes of the Ed25519 key."""

    id: bytes
    raw: bytes

    @property
    def name(self) -> str:
        """The id as minisign prints it."""
        return self.id[::-1].hex().upper()

    @property
    def text(self) -> str:
        """The file of a public key."""
        return f"{_UNTRUSTED}minisign public key {self.name}\n{_encode(_KEY + self.id + self.raw)}\n"

    @classmethod
    def parse(cls, text: str, what: str = "the given text") -> PublicKey:
        """From a file's text, or its second line alone. Raises KeyProblem that never shows it: it may be a secret."""
        lines = [line for line in text.strip().splitlines() if not line.startswith(_UNTRUSTED)]
        data = _decode(lines[0]) if len(lines) == 1 else b""
        if len(data) != len(_KEY) + _ID + _RAW or not data.startswith(_KEY):
            if "PRIVATE KEY" in text:
                raise KeyProblem(f"{what} is a secret key, which is for its owner alone; name the .pub file beside it")
            raise KeyProblem(f"{what} is not a public key; `t3export keys new` writes one, ending in .pub")
        return cls(data[2 : 2 + _ID], data[2 + _ID :])

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> PublicKey:
        """The public half; its id is a digest of it."""
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(hashlib.blake2b(raw, digest_size=_ID).digest(), raw)

    def verify(self, content: bytes, signature: Signature, what: str) -> None:
        """Raises BundleError where the signature is not this key's signature of the content."""
        try:
            key = Ed25519PublicKey.from_public_bytes(self.raw)
            key.verify(signature.of_content, _prehash(content))
            key.verify(signature.of_comment, signature.of_content + signature.comment.encode())
        except InvalidSignature:
            raise BundleError(
                f"{what}: its signature does not fit: the file was changed after key {self.name} signed it"
            ) from None


@dataclass(frozen=True)
class Signature:
    """A parsed .minisig: the key's id, a signature of the content, and one of that and the trusted comment."""

    key_id: bytes
    of_content: bytes
    comment: str
    of_comment: bytes

    @property
    def text(self) -> str:
        """The file of a signature."""
        first = _encode(_PREHASHED + self.key_id + self.of_content)
        return f"{_UNTRUSTED}signature by t3export\n{first}\n{_TRUSTED}{self.comment}\n{_encode(self.of_comment)}\n"

    @classmethod
    def parse(cls, text: str, what: str) -> Signature:
        """Raises BundleError for anything but what `text` writes, so that no byte of the file can change unnoticed."""
        lines = text.split("\n")
        if len(lines) == 5:
            data, comment = _decode(lines[1]), lines[2].removeprefix(_TRUSTED)
            if len(data) == len(_PREHASHED) + _ID + _SIGNATURE:
                found = cls(data[2 : 2 + _ID], data[2 + _ID :], comment, _decode(lines[3]))
                if found.text == text:
                    return found
        raise BundleError(f"{what}: damaged: this is not a signature as `t3export release` writes it")


def sign(key: Ed25519PrivateKey, content: bytes, comment: str) -> str:
    """The text of a .minisig; the same content, comment and key give the same text."""
    of_content = key.sign(_prehash(content))
    return Signature(PublicKey.of(key).id, of_content, comment, key.sign(of_content + comment.encode())).text


def _prehash(content: bytes) -> bytes:
    return hashlib.blake2b(content).digest()


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
