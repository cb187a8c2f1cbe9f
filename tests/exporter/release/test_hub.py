"""Pushing to the hub's API, against a local fake of it; the client is the real huggingface_hub."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi

from exporter.errors import EnvironmentProblem
from exporter.release.hub import push
from exporter.release.names import WantedRelease
from exporter.release.publish import Published, publish
from exporter.release.pull import pull
from exporter.release.release_errors import StoreUnreachable
from exporter.release.stores import WebStore
from exporter.release.verified import verify
from tests.exporter.release.fake_hub import TOKEN, fake_hub
from tests.releasable import KEY, TRUSTED


@pytest.fixture(autouse=True)
def _online(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def published(releasable, tmp_path) -> Published:
    return publish([releasable], tmp_path / "store/toy-1.0.0", KEY, "stable", "mit")


def test_a_pushed_store_is_pulled_from_and_verified(published, tmp_path):
    with fake_hub() as hub:
        url = push(published, "me/toy", private=True, api=HfApi(hub.url, token=TOKEN))
        repository = hub.repositories["me/toy"]
        assert url == f"{hub.url}/me/toy/resolve/main"
        pulled = pull(WantedRelease.parse("toy"), WebStore(url), tmp_path / "pulled", TRUSTED)
    assert verify(pulled.installed.folder, TRUSTED)
    assert repository.private and len(repository.commits) == 1 and set(repository.tags) == {"toy-1.0.0"}
    assert repository.files["README.md"].startswith(b"---\nlicense: mit\n")
    assert {name for name in repository.files if "/" not in name} == {"README.md", "index.json"}
    local = published.folder.parent
    assert all(
        (local / name).read_bytes() == repository.files[name] for name in repository.files if name != "README.md"
    )


def test_a_wrong_token_is_told(published):
    with fake_hub() as hub, pytest.raises(EnvironmentProblem, match=r"me/toy: the hub refuses .*401"):
        push(published, "me/toy", api=HfApi(hub.url, token="hf_wrong"))


def test_a_hub_that_is_not_there(published):
    with fake_hub() as hub:
        api = HfApi(hub.url, token=TOKEN)
    with pytest.raises(StoreUnreachable, match="does not answer"):
        push(published, "me/toy", api=api)
