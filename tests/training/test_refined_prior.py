"""The packaged prior learns on from where it is, and goes back into its place alone."""

import shutil

import torch

from exporter.families.shap_e.model import load
from training.config import Config, RefinedConfig, Schedule
from training.latents import Encoder
from training.package import ZOO, package_prior
from training.refined_prior import train_refined_prior

QUICK = RefinedConfig(objects=8, schedule=Schedule(steps=1, batch=4, rate=1e-4, seed=3, warmup=1))


def test_it_learns_from_where_it_is_and_replaces_the_prior_alone(tmp_path):
    torch.manual_seed(0)
    refined = train_refined_prior(QUICK, "shap-e-mini", Encoder(Config().latents), tmp_path)
    packaged = load("shap-e-mini").prior().state_dict()
    moved = {name: (tensor - packaged[name]).abs().max() for name, tensor in refined.state_dict().items()}
    assert 0 < max(moved.values()) < 1e-3

    zoo = tmp_path / "zoo"
    shutil.copytree(ZOO / "shap_e_mini", zoo / "shap_e_mini")
    package_prior(refined, zoo)
    kept, written = load(str(ZOO / "shap_e_mini")), load(str(zoo / "shap_e_mini"))
    for part in ("renderer", "text_encoder"):
        before, after = (getattr(model, part)().state_dict() for model in (kept, written))
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(kept.prior().state_dict()["proj_in.weight"], written.prior().state_dict()["proj_in.weight"])
