from __future__ import annotations

import hashlib
import os

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
