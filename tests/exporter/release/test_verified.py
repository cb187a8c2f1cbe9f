from __future__ import annotations

import shutil

import pytest

from exporter.errors import BundleError
from exporter.release.publish import publish
from exporter.release.verified import verify
from tests.releasable import KEY, TRUSTED


@pytest.fixture
def own(store, tmp_path):
    return shutil.copytree(store, tmp_path / "store")


def test_what_a_store_s_index_does_not_list_is_named(own):
    shutil.copytree(own / "toy-1.0.0", own / "toy-1.2.0")
    (own / "README.md").write_text("the best models in the world")
    (own / "empty").mkdir()
    (own / "link").symlink_to(own / "toy-1.0.0/README.md")
    with pytest.raises(BundleError) as refusal:
        verify(own, TRUSTED)
    named = [line.strip() for line in str(refusal.value).splitlines() if line.startswith("  ")]
    assert named == [f"{name}: not listed in index.json" for name in ("README.md", "empty", "link", "toy-1.2.0")]


def test_a_release_whose_publishing_was_cut_short_is_listed_by_publishing_it_again(own, releasable):
    index = (own / "index.json").read_bytes()
    publish([releasable], own / "toy-1.2.0", KEY, "stable", "mit")
    (own / "index.json").write_bytes(index)
    with pytest.raises(BundleError, match=r"toy-1\.2\.0: not listed"):
        verify(own, TRUSTED)
    publish([releasable], own / "toy-1.2.0", KEY, "stable", "mit")
    assert "toy-1.2.0" in verify(own, TRUSTED).names


def test_a_card_above_the_releases_and_a_publish_under_way_belong_to_a_store(own):
    """A repository of the hub shows the card of the newest release."""
    shutil.copyfile(own / "toy-1.1.0/README.md", own / "README.md")
    (own / ".toy-1.2.0.1.building").mkdir()
    (own / ".gitattributes").touch()
    assert verify(own, TRUSTED).names == ("toy-1.0.0", "toy-1.1.0")


def test_a_release_that_is_published_meanwhile_is_no_stranger(own, releasable):
    def publish_another(name):
        publish([releasable], own / "toy-1.2.0", KEY, "stable", "mit")

    assert verify(own, TRUSTED, publish_another).names == ("toy-1.0.0", "toy-1.1.0")
