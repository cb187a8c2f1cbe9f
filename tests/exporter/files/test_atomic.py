from __future__ import annotations

import hashlib
from pathlib import Path

from exporter.files.atomic import sha256_of, write_atomically


def test_a_file_of_several_pieces_has_the_digest_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_two_processes_of_the_same_number_write_one_file_each_whole(tmp_path, monkeypatch):
    """In two containers both are number 1; here both are this one, and the second comes in between."""
    replace = Path.replace

    def interrupted(path, target):
        monkeypatch.setattr(Path, "replace", replace)
        write_atomically(tmp_path / "file", b"second")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    write_atomically(tmp_path / "file", b"first")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"first")]
