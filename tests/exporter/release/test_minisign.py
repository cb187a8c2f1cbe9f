from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import BundleError
from exporter.release.minisign import PublicKey, Signature, sign
from exporter.release.release_errors import KeyProblem
from tests.releasable import KEY, STRANGER

# A key and a signature of b"test" that minisign itself made (the example of its Rust verifier).
MINISIGN_KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
MINISIGN_SIGNATURE = """untrusted comment: signature by t3export
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
"""
CONTENT = b'{"name": "toy"}\n'


def test_a_signature_of_minisign_itself_is_verified():
    key = PublicKey.parse(MINISIGN_KEY)
    assert key.name == "E7620F1842B4E81F"
    signature = Signature.parse(MINISIGN_SIGNATURE, "test.minisig")
    key.verify(b"test", signature, "test")
    with pytest.raises(BundleError, match="the file was changed"):
        key.verify(b"tesT", signature, "test")


def test_the_same_content_gives_the_same_signature_and_another_does_not():
    assert sign(KEY, CONTENT, "toy") == sign(KEY, CONTENT, "toy") != sign(KEY, CONTENT + b" ", "toy")


def test_a_public_key_is_read_as_it_was_written():
    key = PublicKey.of(KEY)
    assert PublicKey.parse(key.text) == key == PublicKey.parse(key.text.splitlines()[1])
    assert key.name in key.text


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_no_bit_of_a_signature_can_change(place, bit):
    changed = bytearray(sign(KEY, CONTENT, "t3export release toy 1.0.0").encode())
    changed[place % len(changed)] ^= 1 << bit
    with pytest.raises(BundleError):
        signature = Signature.parse(changed.decode("latin-1"), "release.json.minisig")
        if signature.key_id != PublicKey.of(KEY).id:
            raise BundleError("a stranger's")
        PublicKey.of(KEY).verify(CONTENT, signature, "release.json")


def test_another_key_s_signature_under_this_key_s_name_is_refused():
    forged = Signature.parse(sign(STRANGER, CONTENT, "toy"), "forged")
    with pytest.raises(BundleError, match="does not fit"):
        PublicKey.of(KEY).verify(CONTENT, forged, "release.json")


@pytest.mark.parametrize("text", ["", "RWQ", "not a key", PublicKey.of(KEY).text.replace("RW", "RX"), "a\nb\n"])
def test_what_is_no_public_key(text):
    with pytest.raises(KeyProblem, match="not a public key"):
        PublicKey.parse(text)
