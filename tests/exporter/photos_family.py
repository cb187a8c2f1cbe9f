"""A model family in one file: a photo to a ball of its colour, by a map and a field without a tanh; nothing sampled."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from exporter.families.family import Model
from exporter.families.original import Original
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.inputs import PictureInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec

SIZE, EDGE, WIDTH = 16, 20, 64
MEAN, STD = (0.5, 0.4, 0.6), (0.25, 0.3, 0.2)
HALF_WIDTH, RADIUS, STEEPNESS = 0.6, 0.3, 20.0
PIXELS = TensorSpec("pixels", "float32", ("batch", 3, SIZE, SIZE))
TRAITS = TensorSpec("traits", "float32", ("batch", 4))
SPOTS = TensorSpec("spots", "float32", ("batch", "points", 3))
OUTPUTS = [
    TensorSpec("margin", "float32", ("batch", "points", 1)),
    TensorSpec("opacity", "float32", ("batch", "points", 1)),
    TensorSpec("paint", "float32", ("batch", "points", 3)),
]
VOLUME = Volume(distance="margin", density="opacity", color="paint", half_width=HALF_WIDTH, squash="none")
SHIFT = 3.0


class Lifter(torch.nn.Module):
    """The mean colour of the pixels, by way of a hidden layer that also sees noise, and a radius."""

    def __init__(self):
        super().__init__()
        self.see, self.tell = torch.nn.Linear(3 * SIZE**2, WIDTH), torch.nn.Linear(WIDTH, 4)
        drawn = torch.Generator().manual_seed(2)
        with torch.no_grad():
            self.see.weight.copy_(0.01 * torch.randn(self.see.weight.shape, generator=drawn))
            self.see.weight[:3] = torch.eye(3).repeat_interleave(SIZE**2, dim=1) / SIZE**2
            self.see.bias.fill_(SHIFT)
            self.tell.weight.copy_(1e-4 * torch.randn(self.tell.weight.shape, generator=drawn))
            self.tell.weight[1:, :3] = torch.diag(torch.tensor(STD))
            self.tell.bias.copy_(torch.tensor([RADIUS, *(m - SHIFT * s for m, s in zip(MEAN, STD, strict=True))]))

    def forward(self, pixels):
        return self.tell(torch.relu(self.see(pixels.flatten(1))))


class Solid(torch.nn.Module):
    """How far inside the ball a point is, times a steepness: no tanh holds it between -1 and 1."""

    def forward(self, spots, traits):
        margin = STEEPNESS * (traits[:, None, :1] - torch.linalg.norm(spots, dim=-1, keepdim=True))
        return margin, torch.relu(margin), traits[:, None, 1:].clamp(0, 1).expand_as(spots)


class PhotosOriginal(Original):
    def __init__(self, model, recipe):
        super().__init__(model.pipeline(recipe), recipe, model.scheduler)
        self.lifter, self.solid = Lifter(), Solid()
        self.processor = CLIPImageProcessorPil(
            size={"shortest_edge": EDGE}, crop_size={"height": SIZE, "width": SIZE}, image_mean=MEAN, image_std=STD
        )

    def read(self, requests):
        pictures = [Image.open(request["photo"]).convert("RGB") for request in requests]
        return {"pixels": np.asarray(self.processor(pictures, return_tensors="np")["pixel_values"])}

    @torch.inference_mode()
    def run_program(self, stage, arrays):
        if stage == "lifter":
            return {"traits": self.lifter(torch.from_numpy(arrays["pixels"])).numpy()}
        values = self.solid(torch.from_numpy(arrays["spots"]), torch.from_numpy(arrays["traits"]))
        return {spec.name: value.numpy() for spec, value in zip(OUTPUTS, values, strict=True)}

    def predict(self, stage, sample, timestep):
        raise AssertionError("nothing is sampled")

    def load(self):
        pass


class Photos(Model):
    resampling = "bicubic"

    def __init__(self, weights):
        self.weights_source = weights
        self.weights_digest = hashlib.sha256(weights.encode()).hexdigest()
        self.trained = True

    def pipeline(self, recipe):
        photo = PictureInput(
            tensor="pixels", size=SIZE, shorter_edge=EDGE, resampling=self.resampling, mean=MEAN, std=STD
        )
        return Pipeline(
            inputs={"photo": photo},
            stages={
                "lifter": PipelineStage(kind="map", inputs=[PIXELS], outputs=[TRAITS]),
                "solid": PipelineStage(kind="field", inputs=[SPOTS, TRAITS], outputs=OUTPUTS, volume=VOLUME),
            },
            assets={"shape": MeshAsset(stage="solid", grid=recipe.mesh.grid, extraction=recipe.mesh.extraction)},
        )

    def input_files(self):
        return {}

    def modules(self, recipe):
        return {"lifter": Lifter, "solid": Solid}

    def scheduler(self, stage):
        raise AssertionError("nothing is sampled")

    def original(self, recipe):
        return PhotosOriginal(self, recipe)


RECIPE = {
    "name": "photos",
    "model": {"family": "photos", "weights": "by hand"},
    "mesh": {"grid": 32},
    "quantization": {"rules": []},
    "goldens": {"prompts": ["pictures/red.png", "pictures/blue.png"]},
    "validation": {
        "tolerances": {
            "fp32": {"stage_snr_db": 90.0, "mesh_iou": 0.999, "chamfer": 1e-4},
            "fp16": {"stage_snr_db": 50.0, "mesh_iou": 0.98, "chamfer": 1e-2},
            "int8": {"stage_snr_db": 20.0, "mesh_iou": 0.9, "chamfer": 0.05},
        }
    },
}
