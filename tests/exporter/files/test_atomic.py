from __future__ import annotations

import hashlib

from exporter.files.atomic import sha256_of


def test_a_file_of_several_pieces_has_the_digest_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
