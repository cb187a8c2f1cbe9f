"""An original in PyTorch for the toy bundle."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from diffusers import DDIMScheduler

from exporter.families import registry
from exporter.families.original import Original
from exporter.manifest import read_manifest, write_manifest
from exporter.runtime.bundle import Bundle
from tests.validate.proved_bundle import RECIPE


class ToyOriginal(Original):
    """Its network in PyTorch and the rest of it the bundle's own programs."""

    def __init__(self, bundle, recipe):
        self.bundle = bundle
        scheduler = DDIMScheduler(num_train_timesteps=1000, prediction_type="sample", clip_sample=False)
        super().__init__(bundle.pipeline, recipe, lambda stage: scheduler)

    def read(self, requests):
        return self.bundle.read(requests)

    def run_program(self, stage, arrays):
        return self.bundle.run_program(stage, arrays)

    def predict(self, stage, sample, timestep, embedding):
        return embedding.reshape(-1, 2, 4) + 0.001 * sample

    def load(self): ...


def register_toy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Gives a toy bundle a recipe whose family has this original for as long as the test lasts."""
    write_manifest(folder, read_manifest(folder).model_copy(update={"recipe": RECIPE}))
    loaded = SimpleNamespace(weights_digest="0" * 64, original=lambda recipe: ToyOriginal(Bundle.open(folder), recipe))
    monkeypatch.setitem(registry._loaders, "toy", lambda weights: loaded)
