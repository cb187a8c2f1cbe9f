"""Pulling from folders, servers and other stores, and going on where a transfer broke."""

from __future__ import annotations

import sys

import fsspec
import pytest

from exporter.errors import EnvironmentProblem
from exporter.release.release_errors import StoreProblem, StoreUnreachable
from exporter.release.stores import WebStore, open_store
from exporter.release.verified import verify
from tests.exporter.release.pulled import get, pull_killed
from tests.releasable import TRUSTED, served


def test_only_what_changed_is_fetched_over_http_by_ranges(store, tmp_path):
    with served(store) as (url, server):
        first = get(url, tmp_path)
        server.requests.clear()
        second = get(url, tmp_path, "toy@1.1.0")
    changed = {"denoiser.onnx", "manifest.json", "reports/report.json"}
    assert second.fetched.files == len(changed)
    assert second.fetched.reused == len(first.installed.archive.files) - len(changed)
    asked = sum(
        int(last) + 1 - int(start)
        for path, ranges in server.requests
        if path.endswith(".zst")
        for start, last in [ranges.removeprefix("bytes=").split("-")]
    )
    files = second.installed.archive.files
    assert asked == second.fetched.bytes == sum(files[name].frame.size for name in changed)
    assert all(ranges for path, ranges in server.requests if path.endswith(".zst"))


def test_a_whole_pull_is_one_request_for_the_archive(store, tmp_path):
    with served(store) as (url, server):
        get(url, tmp_path)
    assert sum(path.endswith(".zst") for path, _ in server.requests) == 1


def test_a_server_without_ranges_serves_deltas_too(store, tmp_path):
    with served(store) as (url, server):
        server.has_ranges = False
        get(url, tmp_path)
        assert get(url, tmp_path, "toy@1.1.0").fetched.files == 3


def test_a_token_is_for_the_server_and_not_for_where_it_redirects_to(store, tmp_path, monkeypatch):
    with served(store) as (url, server), served(store) as (elsewhere, other):
        server.token, server.elsewhere = "secret", elsewhere
        with pytest.raises(StoreProblem, match=r"refuses \(401\).*T3EXPORT_STORE_TOKEN"):
            get(url, tmp_path)
        monkeypatch.setenv("T3EXPORT_STORE_TOKEN", "secret")
        assert get(url, tmp_path).fetched
    assert [path for path, _ in other.requests] == ["/toy-1.0.0/toy/cpu.tar.zst"]


def test_a_signed_query_goes_with_every_file_and_is_never_told(store, tmp_path):
    signed = "?X-Sig=SE%2FCRET&valid=a b"
    with served(store) as (url, server):
        assert get(f"{url}/{signed}", tmp_path).fetched
        assert {path.partition("?")[2] for path, _ in server.requests} == {"X-Sig=SE%2FCRET&valid=a%20b"}
        for place in (f"{url}/nowhere{signed}", f"http://me:SE%2FCRET@{url[7:]}", f"http://localhost:1/{signed}"):
            with pytest.raises(StoreProblem) as raised:
                get(place, tmp_path / "other")
            assert "CRET" not in str(raised.value) and "http://" in str(raised.value)


def test_what_a_server_compresses_on_the_way_is_opened_or_told(store, tmp_path):
    with served(store) as (url, server):
        server.gzips, server.has_ranges = True, False
        assert get(url, tmp_path).fetched
        server.has_ranges = True
        with pytest.raises(StoreProblem, match=r"toy-1\.1\.0/.*compresses it on the way \(gzip\)"):
            get(url, tmp_path, "toy@1.1.0")


def test_a_page_to_log_in_is_no_damage(store, tmp_path):
    with served(store) as (url, server):
        server.has_page = True
        with pytest.raises(StoreProblem, match=r"index\.json: 127\.0\.0\.1:\d+ answers with a web page, perhaps"):
            get(url, tmp_path)


def test_any_fsspec_store(store, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(store), "/releases", recursive=True)
    try:
        assert get("memory://releases", tmp_path).fetched.files > 5
        with pytest.raises(StoreProblem, match="not there"):
            get("memory://elsewhere", tmp_path)
    finally:
        memory.rm("/releases", recursive=True)


def test_without_fsspec_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(EnvironmentProblem, match=r"t3export\[release\]"):
        open_store("s3://bucket/releases")


def test_a_connection_that_breaks_in_the_middle_of_a_file_goes_on_there(store, tmp_path):
    with served(store) as (url, server):
        server.broken_after = 1000
        pulled = get(url, tmp_path)
        ranges = [ranges for path, ranges in server.requests if path.endswith(".zst")]
    assert len(ranges) == 2 and ranges[1].startswith("bytes=1000-")
    assert pulled.fetched.bytes == sum(file.frame.size for file in pulled.installed.archive.files.values())


def test_a_killed_pull_is_resumed_by_the_next(store, tmp_path):
    pull_killed(store, tmp_path, at=0.5)
    assert not (tmp_path / "toy/cpu").exists()
    pulled = get(store, tmp_path)
    whole = sum(file.frame.size for file in pulled.installed.archive.files.values())
    assert 0 < pulled.fetched.bytes < whole * 0.6
    assert verify(tmp_path / "toy/cpu", TRUSTED)


def test_a_pull_that_was_killed_after_the_last_byte_asks_for_nothing(store, tmp_path):
    pull_killed(store, tmp_path, at=1.0)
    with served(store) as (url, server):
        assert get(url, tmp_path).fetched.bytes == 0
    assert not [path for path, _ in server.requests if path.endswith(".zst")]
    assert verify(tmp_path / "toy/cpu", TRUSTED)


def test_a_server_that_is_not_there_or_has_not_the_file(store, tmp_path):
    with served(tmp_path) as (url, _), pytest.raises(StoreProblem, match=r"index\.json: not there"):
        get(url, tmp_path / "pulled")
    with pytest.raises(StoreUnreachable, match="no answer"):
        get(WebStore(url), tmp_path / "pulled")
