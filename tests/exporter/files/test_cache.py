from __future__ import annotations

import os
import stat
import time

import pytest

from exporter.errors import EnvironmentProblem
from exporter.files.cache import Cache, step_key


def write(text):
    return lambda folder: (folder / "file.txt").write_text(text)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def test_a_step_is_made_once_for_the_same_inputs(cache):
    first, hit = cache.get("trace", {"opset": 23}, write("one"))
    again, hit_again = cache.get("trace", {"opset": 23}, write("two"))
    other, hit_other = cache.get("trace", {"opset": 20}, write("three"))
    assert (hit, hit_again, hit_other) == (False, True, False)
    assert first.folder == again.folder and (again.folder / "file.txt").read_text() == "one"
    assert (other.folder / "file.txt").read_text() == "three"


def test_a_damaged_entry_is_made_again(cache):
    entry, _ = cache.get("trace", {}, write("one"))
    (entry.folder / "file.txt").write_text("0ne")
    again, hit = cache.get("trace", {}, write("one"))
    assert not hit and (again.folder / "file.txt").read_text() == "one"


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"files": {}}', "\x00"])
def test_an_entry_whose_description_is_damaged_is_left_out_made_again_and_pruned(cache, text):
    whole, _ = cache.get("whole", {}, write("one"))
    damaged, _ = cache.get("damaged", {}, write("two"))
    (damaged.folder / "entry.json").write_text(text)
    assert [entry.step for entry in cache.entries()] == ["whole"]
    again, hit = cache.get("damaged", {}, write("two"))
    assert not hit and {entry.step for entry in cache.entries()} == {"whole", "damaged"}
    (again.folder / "entry.json").write_text(text)
    assert cache.prune(keep_bytes=whole.size) == []
    assert not again.folder.exists() and whole.folder.exists()


def test_prune_deletes_nothing_that_is_no_entry(cache):
    other = cache.folder / "go" / "src"
    other.mkdir(parents=True)
    (other / "entry.json").write_text("{}")
    cache.prune()
    assert (other / "entry.json").exists()


def test_what_another_process_made_meanwhile_stays(cache):
    first = []

    def make(folder):
        first.append(cache.get("trace", {}, write("one"))[0])
        write("one")(folder)

    entry, hit = cache.get("trace", {}, make)
    # `used` is the time of its file: it is the first one's.
    assert not hit and entry == first[0]
    assert not list(cache.folder.glob(".t3export.*"))


def test_a_failed_step_leaves_nothing(cache):
    def fail(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        cache.get("trace", {}, fail)
    assert not list(cache.folder.rglob("half")) and cache.entries() == []


def test_the_toolchain_and_the_source_are_part_of_the_key(monkeypatch):
    before = step_key("trace", {})
    monkeypatch.setattr("exporter.files.cache.versions", lambda: {"torch": "0"})
    changed = step_key("trace", {})
    monkeypatch.setattr("exporter.files.cache.source_digest", lambda: "other")
    assert len({before, changed, step_key("trace", {})}) == 3


def test_prune_keeps_the_latest_used(cache):
    old, _ = cache.get("old", {}, write("a" * 100))
    new, _ = cache.get("new", {}, write("b" * 100))
    os.utime(old.folder / "entry.json", (time.time() - 1e6,) * 2)
    assert [entry.step for entry in cache.entries()] == ["new", "old"]
    assert cache.prune(older_than_days=30) == []
    assert [entry.step for entry in cache.prune(keep_bytes=new.size)] == ["old"]
    assert [entry.step for entry in cache.entries()] == ["new"]
    cache.prune()
    assert cache.entries() == []


def test_no_cache_is_deleted_at_the_end(tmp_path):
    with Cache.none(tmp_path) as cache:
        entry, _ = cache.get("trace", {}, write("one"))
        assert entry.folder.is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_caches_of_processes_of_the_same_number_are_two(tmp_path):
    """In two containers both are number 1; here both are this one."""
    with Cache.none(tmp_path) as first:
        entry, _ = first.get("trace", {}, write("one"))
        with Cache.none(tmp_path) as second:
            assert second.entries() == []
        assert first.entries() == [entry]


def test_what_killed_processes_left_is_deleted_whoever_has_their_number_now(cache, tmp_path):
    left = [cache.folder / ".t3export.1.making", tmp_path / ".t3export.1.cache"]
    for folder in left:
        folder.mkdir(parents=True)
    cache.prune()
    with Cache.none(tmp_path):
        pass
    assert not any(folder.exists() for folder in left)


def test_what_is_being_made_is_not_pruned(cache):
    def make(folder):
        cache.prune()
        write("one")(folder)

    assert cache.get("trace", {}, make)[0].folder.exists()


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2775, 0o1777])
def test_what_is_made_is_as_open_to_others_as_the_folder(cache, mode):
    cache.folder.mkdir()
    cache.folder.chmod(mode)
    entry, _ = cache.get("trace", {}, lambda folder: ((folder / "deep").mkdir(), write("one")(folder / "deep")))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in cache.folder.rglob("*")}
    assert {found for path, found in modes.items() if path.is_dir()} == {mode}
    assert {found for path, found in modes.items() if path.is_file()} == {mode & 0o666}
    assert entry.folder in modes


def test_another_user_s_entry_is_taken_though_it_cannot_be_touched(cache, monkeypatch):
    def refuse(path):
        raise PermissionError(1, "Operation not permitted", str(path))

    first, _ = cache.get("trace", {}, write("one"))
    monkeypatch.setattr(os, "utime", refuse)
    assert cache.get("trace", {}, write("two")) == (first, True)


def test_where_nothing_can_be_added_it_is_told_before_the_work(cache, tmp_path, monkeypatch):
    cache.get("trace", {}, write("one"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cache.get("trace", {}, write("two"))[1]
    with pytest.raises(EnvironmentProblem, match=r"cannot be written by this user; .*\$T3EXPORT_CACHE.*--no-cache"):
        cache.get("trace", {"opset": 20}, lambda folder: pytest.fail("the work has begun"))
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match=r"file/cache: cannot be made \(Not a directory\)"):
        Cache(tmp_path / "file/cache").get("trace", {}, lambda folder: pytest.fail("the work has begun"))


def test_a_damaged_entry_that_may_not_be_replaced_is_named(cache, monkeypatch):
    def refuse(new, folder):
        raise PermissionError(1, "Operation not permitted", str(folder))

    entry, _ = cache.get("trace", {}, write("one"))
    (entry.folder / "file.txt").write_text("0ne")
    monkeypatch.setattr("exporter.files.cache.put", refuse)
    with pytest.raises(EnvironmentProblem, match=f"{entry.key}: damaged, or not to be read by this user"):
        cache.get("trace", {}, write("one"))


def test_the_environment_says_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "here"))
    assert Cache().folder == tmp_path / "here"
