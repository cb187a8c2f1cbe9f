"""A model family in one file: a light field, which takes nothing and samples nothing, and only renders."""

from __future__ import annotations

import hashlib

import torch

from exporter.families.family import Model
from exporter.families.original import Original
from exporter.pipeline.assets import ImageAsset
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec

BEAMS = TensorSpec("beams", "float32", ("batch", "rays", 2, 3))
RADIANCE = TensorSpec("radiance", "float32", ("batch", "rays", 3))
WIDTH = 64


class LightField(torch.nn.Module):
    """Plücker coordinates of a ray to its colour."""

    def __init__(self):
        super().__init__()
        drawn = torch.Generator().manual_seed(5)
        self.first, self.second, self.last = (
            torch.nn.Linear(into, out) for into, out in ((6, WIDTH), (WIDTH, WIDTH), (WIDTH, 3))
        )
        with torch.no_grad():
            for layer in (self.first, self.second, self.last):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=drawn) / layer.in_features**0.5)
                layer.bias.zero_()

    def forward(self, beams):
        origin, direction = beams[:, :, 0], beams[:, :, 1]
        moment = torch.stack(
            [
                origin[..., i] * direction[..., j] - origin[..., j] * direction[..., i]
                for i, j in ((1, 2), (2, 0), (0, 1))
            ],
            dim=-1,
        )
        hidden = torch.relu(self.first(torch.cat([direction, moment], dim=-1)))
        return torch.sigmoid(2 * self.last(torch.relu(self.second(hidden))))


class LightFieldOriginal(Original):
    def __init__(self, model, recipe):
        super().__init__(model.pipeline(recipe), recipe, model.scheduler)
        self.light = LightField()

    def read(self, requests):
        return {}

    @torch.inference_mode()
    def run_program(self, stage, arrays):
        origin, direction = torch.from_numpy(arrays["beams"]).unbind(dim=2)
        values = torch.cat([direction, torch.linalg.cross(origin, direction)], dim=-1)
        for layer in (self.light.first, self.light.second):
            values = torch.clamp(values @ layer.weight.T + layer.bias, min=0)
        return {"radiance": torch.sigmoid(2 * (values @ self.light.last.weight.T + self.light.last.bias)).numpy()}

    def predict(self, stage, sample, timestep):
        raise AssertionError("nothing is sampled")

    def load(self):
        pass


class LightFields(Model):
    def __init__(self, weights):
        self.weights_source = weights
        self.weights_digest = hashlib.sha256(weights.encode()).hexdigest()
        self.trained = True

    def pipeline(self, recipe):
        return Pipeline(
            inputs={},
            stages={"light_field": PipelineStage(kind="render", inputs=[BEAMS], outputs=[RADIANCE])},
            assets={"view": ImageAsset(stage="light_field", size=recipe.render.size)},
        )

    def input_files(self):
        return {}

    def modules(self, recipe):
        return {"light_field": LightField}

    def scheduler(self, stage):
        raise AssertionError("nothing is sampled")

    def original(self, recipe):
        return LightFieldOriginal(self, recipe)


RECIPE = {
    "name": "rays",
    "model": {"family": "light-fields", "weights": "seed 5"},
    "render": {"size": 24},
    "quantization": {"rules": []},
    "goldens": {},
    "validation": {
        "tolerances": {
            "fp32": {"stage_snr_db": 90.0, "render_psnr_db": 60.0},
            "fp16": {"stage_snr_db": 50.0, "render_psnr_db": 40.0},
            "int8": {"stage_snr_db": 20.0, "render_psnr_db": 25.0},
        }
    },
}
