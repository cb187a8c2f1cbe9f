from __future__ import annotations

import mmap
import sys

import pytest

from exporter.machine import mapped_files
from exporter.machine.mapped_files import give_back
from tests.exporter.machine.resident import resident

SIZE = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is known on Linux")
def test_pages_that_were_read_leave_the_memory_and_can_be_read_again(tmp_path):
    written, other = tmp_path / "folder" / "weights of a program", tmp_path / "other"
    written.parent.mkdir()
    for path in (written, other):
        path.write_bytes(bytes(range(256)) * (SIZE // 256))
    with written.open("rb") as file, other.open("rb") as beside:
        seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        stays = mmap.mmap(beside.fileno(), 0, access=mmap.ACCESS_READ)
        sums = sum(seen[:]), sum(stays[:])
        assert resident(written) == resident(other) == SIZE
        give_back(written.parent)
        assert resident(written) == 0
        assert resident(other) == SIZE, "of another folder"
        assert (sum(seen[:]), sum(stays[:])) == sums


@pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is known on Linux")
def test_what_was_written_to_memory_alone_is_not_lost(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file:
        changed = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        changed[5] = 7
        give_back(tmp_path)
        assert changed[5] == 7


def test_without_a_list_of_mappings_nothing_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_files, "_MAPS", tmp_path / "none")
    give_back(tmp_path)
