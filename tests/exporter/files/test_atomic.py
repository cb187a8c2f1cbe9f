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


@pytest.mark.parametrize("name", ["x" * 251 + ".glb", "椅" * 84 + ".gl"])
def test_the_longest_name_that_a_file_may_have(tmp_path, name):
    write_atomically(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_bytes() == b"whole"


def test_a_link_stays_a_link_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.glb"
    link.symlink_to("there/new.glb")
    for content in (b"first", b"second"):
        write_atomically(link, content)
        assert link.is_symlink() and (tmp_path / "there/new.glb").read_bytes() == content
    assert not list(tmp_path.rglob(".*"))


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(tmp_path / "pipe", b"through")
        assert os.read(reader, 100) == b"through" and (tmp_path / "pipe").is_fifo()
    finally:
        os.close(reader)


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write_atomically(tmp_path, b"x")
    assert tmp_path.is_dir() and not list(tmp_path.iterdir())


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
