from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from exporter.errors import EnvironmentProblem
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


def test_a_link_stays_and_where_it_leads_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    write_atomically(tmp_path / "link", b"one")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there/file").read_bytes() == b"one"


def test_a_pipe_is_written_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", b"one")
    assert os.read(reader, 9) == b"one" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """A file that is mounted by itself, as `docker run -v FILE:FILE` does."""

    def refuse(source, target):
        raise OSError(errno.EBUSY, "Device or resource busy", str(target))

    monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / "file").write_bytes(b"former")
    return tmp_path / "file"


def test_what_cannot_be_renamed_is_written_in_place(mounted):
    write_atomically(mounted, b"one")
    assert mounted.read_bytes() == b"one" and [mounted] == list(mounted.parent.iterdir())


def test_what_is_written_in_place_gets_its_former_content_back(mounted, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        write(path, content[:3])
        if (path, content) == (mounted, b"new content"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        write_atomically(mounted, b"new content")
    assert mounted.read_bytes() == b"former"
