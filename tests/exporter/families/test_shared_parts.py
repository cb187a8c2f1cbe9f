"""A zoo model may share parts with another, and is its own model all the same."""

from __future__ import annotations

import shutil

import pytest
import torch

from exporter.families import part_files
from exporter.families.registry import load_model
from exporter.families.shap_e import model as shap_e


@pytest.fixture
def zoo(tiny_folder, tmp_path, monkeypatch):
    """A zoo of 'whole' and of 'student', which has a prior of its own."""
    shutil.copytree(tiny_folder, tmp_path / "whole")
    shutil.copytree(tiny_folder / "prior", tmp_path / "student" / "prior")
    monkeypatch.setattr(part_files, "ZOO", tmp_path)
    monkeypatch.setitem(shap_e.ZOO_MODELS, "whole", ("whole",))
    monkeypatch.setitem(shap_e.ZOO_MODELS, "student", ("student", "whole"))
    prior = load_model("shap-e", "whole").prior()
    prior.proj_in.weight.fill_(0.25)
    prior.save_pretrained(tmp_path / "student" / "prior")


def test_each_part_comes_from_the_first_folder_that_has_it(zoo):
    whole, student = load_model("shap-e", "whole"), load_model("shap-e", "student")
    assert torch.all(student.prior().proj_in.weight == 0.25)
    assert not torch.equal(whole.prior().proj_in.weight, student.prior().proj_in.weight)
    assert torch.equal(whole.renderer().mlp.mlp[0].weight, student.renderer().mlp.mlp[0].weight)
    assert whole.input_files() == student.input_files()


def test_another_prior_is_another_digest(zoo, tiny):
    whole, student = load_model("shap-e", "whole"), load_model("shap-e", "student")
    assert whole.weights_digest == tiny.weights_digest != student.weights_digest
    assert student.weights_source == "student"
