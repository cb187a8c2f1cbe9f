from __future__ import annotations

import os

import pytest

from tests.exporter.tiny import write_tiny_shap_e

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return write_tiny_shap_e(tmp_path_factory.mktemp("shap_e_tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    from exporter.families.registry import load_model

    return load_model("shap-e", str(tiny_folder))
