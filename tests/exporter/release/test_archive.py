from __future__ import annotations

import io
import subprocess
import tarfile

import pytest
import zstandard

from exporter.errors import BundleError
from exporter.release.archive import Window, unpack, write_archive


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files/deep").mkdir(parents=True)
    (tmp_path / "files/a.txt").write_bytes(b"a" * 1000)
    (tmp_path / "files/empty").write_bytes(b"")
    (tmp_path / "files/deep" / ("long" * 40)).write_bytes(bytes(range(256)) * 20)
    (tmp_path / "files/deep/run.sh").write_text("#!/bin/sh\necho")
    return tmp_path / "files"


def names(folder):
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def packed(folder, order=lambda found: found):
    stream = io.BytesIO()
    return write_archive(folder, order(names(folder)), stream), stream


def test_the_same_files_give_the_same_bytes_whatever_their_order_and_times(folder):
    first, one = packed(folder)
    (folder / "a.txt").touch()
    second, other = packed(folder, lambda found: found[::-1])
    assert first == second and one.getvalue() == other.getvalue()


def test_permissions_on_this_disk_change_nothing(folder):
    first, one = packed(folder)
    (folder / "a.txt").chmod(0o777)
    (folder / "deep/run.sh").chmod(0o600)
    second, other = packed(folder)
    assert first == second and one.getvalue() == other.getvalue()


def test_any_tar_opens_it(folder, tmp_path):
    _, stream = packed(folder)
    plain = zstandard.ZstdDecompressor().stream_reader(stream.getvalue(), read_across_frames=True).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        assert archive.getnames() == sorted(names(folder))
        archive.extractall(tmp_path / "out")
    subprocess.run(["diff", "-r", folder, tmp_path / "out"], check=True)
    assert (tmp_path / "out/deep/run.sh").stat().st_mode & 0o100


def test_each_file_comes_out_of_its_frame_alone(folder):
    files, stream = packed(folder)
    for name, file in files.items():
        out = io.BytesIO()
        frame = Window(stream, file.frame.offset, file.frame.size)
        unpack(frame, name, file, out)
        assert out.getvalue() == (folder / name).read_bytes() and frame.finish() == file.frame.sha256


def test_a_link_is_not_packed(folder):
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(BundleError, match="link: not a plain file"):
        packed(folder)
