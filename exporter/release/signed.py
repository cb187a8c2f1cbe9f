"""Signed documents: the signature is looked at before anything in them is."""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exporter.errors import BundleError
from exporter.files.atomic import write_atomically
from exporter.release.keys import TrustedKeys
from exporter.release.minisign import SUFFIX, sign
from exporter.release.statement import INDEX_FILE, RELEASE_FILE, Index, Release, parsed, rendered
from exporter.release.stores import Store, read_document


def release_signature(release: Release, key: Ed25519PrivateKey) -> str:
    """The text of release.json.minisig."""
    return sign(key, rendered(release), f"t3export release {release.name} {release.version}")


def read_release(store: Store, folder: str, keys: TrustedKeys) -> Release:
    """The verified release.json of a folder in a store ('' for the store itself). Raises as `read_signed_release`."""
    return read_signed_release(store, folder, keys)[0]


def read_signed_release(store: Store, folder: str, keys: TrustedKeys) -> tuple[Release, bytes]:
    """The verified release.json of a folder in a store ('' for the store itself), and the file of its signature.

    Raises KeyProblem for a stranger's signature, BundleError for a changed or hostile document, StoreProblem.
    """
    path = f"{folder}/{RELEASE_FILE}" if folder else RELEASE_FILE
    content, signature = read_document(store, path), read_document(store, path + SUFFIX)
    keys.verify(content, _text(signature, path + SUFFIX), path)
    release = parsed(Release, content, path)
    if rendered(release) != content:
        raise BundleError(f"{path}: not written by `t3export release`")
    return release, signature


def write_index(folder: Path, index: Index, key: Ed25519PrivateKey) -> None:
    """Writes index.json with its signature inside, so that the two change in one step."""
    content = rendered(index)
    signature = sign(key, content, f"t3export index {index.revision}")
    text = json.dumps(
        {"index": json.loads(content), "signature": signature}, indent=1, sort_keys=True, ensure_ascii=False
    )
    write_atomically(folder / INDEX_FILE, f"{text}\n".encode())


def read_index(store: Store, keys: TrustedKeys) -> Index:
    """The verified index of a store. Raises as `read_signed_release`."""
    return parse_index(read_document(store, INDEX_FILE), keys, INDEX_FILE)


def parse_index(content: bytes, keys: TrustedKeys, what: str) -> Index:
    """The index in the bytes of an index.json. Raises KeyProblem or BundleError."""
    try:
        data = json.loads(content.decode("utf-8"))
        signature, inner = data["signature"], data["index"]
        text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)
        whole = f"{text}\n".encode() == content and set(data) == {"signature", "index"}
        signed = f"{json.dumps(inner, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{what}: damaged ({type(error).__name__}: {error})") from None
    if not whole or not isinstance(signature, str):
        raise BundleError(f"{what}: damaged: not written by `t3export release`")
    keys.verify(signed, signature, what)
    return parsed(Index, signed, what)


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BundleError(f"{what}: damaged: a signature is text") from None
