"""Weights on the hub: pinned to a commit, only what is taken downloaded, and the cache where nobody answers."""

from __future__ import annotations

import pytest

from exporter.errors import HubUnreachable, NoSuchWeights
from exporter.families.registry import load_model
from exporter.families.repository import open_repository
from tests.exporter.families.hub_of_models import serving
from tests.exporter.families.shap_e import layouts

NAME = "openai/shap-e"
COMMIT = layouts.COMMIT


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def hub(tiny_folder, tmp_path, cache, monkeypatch):
    """The published files; gives the names of those that were downloaded."""
    with serving(NAME, layouts.as_published(tiny_folder, tmp_path / "hub"), COMMIT) as (url, downloads):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield downloads


def test_only_what_is_taken_is_downloaded(hub):
    model = load_model("shap-e", NAME)
    assert sorted(hub) == sorted(f"{file.part}/{file.name}" for file in model.weights_files)
    assert not any("fp16" in name or name.startswith("renderer/") for name in hub)
    model.prior()


@pytest.mark.parametrize("revision", ["", "@main", "@refs/pr/8", f"@{COMMIT}"])
def test_a_revision_is_pinned_to_its_commit(hub, revision):
    assert load_model("shap-e", f"{NAME}{revision}").weights_source == f"{NAME}@{COMMIT}"


def test_what_the_hub_has_not_is_said(hub):
    with pytest.raises(NoSuchWeights, match=r"openai/shap-e@v9': the hub's model has no such revision"):
        open_repository(f"{NAME}@v9")
    with pytest.raises(NoSuchWeights, match=r"openai/shap-f': the hub has no such model"):
        open_repository("openai/shap-f")


def test_a_file_that_does_not_come_is_told_of(hub, tmp_path):
    repository = open_repository(NAME)
    (tmp_path / "hub/prior/config.json").unlink()
    with pytest.raises(HubUnreachable, match=COMMIT):
        repository.fetch("prior/config.json")


def test_a_cache_is_enough_offline(tiny_folder, tmp_path, cache, offline):
    layouts.hub_cache(layouts.as_published(tiny_folder, tmp_path / "w"), cache, NAME)
    model = load_model("shap-e", NAME)
    assert model.weights_source == f"{NAME}@{COMMIT}" and model.prior()
    assert load_model("shap-e", f"{NAME}@{COMMIT}").weights_digest == model.weights_digest
    with pytest.raises(HubUnreachable, match=r"shap-e@refs/pr/9"):
        open_repository(f"{NAME}@refs/pr/9")


def test_a_cache_is_enough_where_nobody_answers(tiny_folder, tmp_path, cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    layouts.hub_cache(layouts.as_published(tiny_folder, tmp_path / "w"), cache, NAME, "refs/pr/8")
    assert load_model("shap-e", f"{NAME}@refs/pr/8").weights_source == f"{NAME}@{COMMIT}"
    with pytest.raises(HubUnreachable, match="cannot be reached"):
        open_repository("openai/another")


def test_a_folder_of_such_a_name_comes_first(tmp_path, monkeypatch, offline):
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "model_index.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert open_repository(NAME).names == {"model_index.json"}
