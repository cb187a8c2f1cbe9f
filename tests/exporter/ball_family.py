"""A model family in one file: coloured balls, built in seconds."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from diffusers import DDIMScheduler
from tokenizers import Tokenizer as WordTokenizer
from tokenizers import models, pre_tokenizers

from exporter.families.family import Model
from exporter.families.original import Original
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.denoiser import Denoiser

WORDS = ["[pad]", "a", "red", "green", "blue", "ball"]
COLORS = torch.eye(3)[[0, 0, 0, 1, 2, 0]] * torch.tensor([0, 0, 1, 1, 1, 0])[:, None]


class BallText(torch.nn.Module):
    """Adds up the colours of the words."""

    def __init__(self):
        super().__init__()
        self.colors = torch.nn.Buffer(COLORS)

    def forward(self, input_ids):
        return self.colors[input_ids].sum(dim=1) + 0.01


class BallNetwork(torch.nn.Module):
    """Predicts the latent of a ball of the prompt's colour: one token of (radius, r, g, b)."""

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Linear(3, 4)
        torch.nn.init.constant_(self.mix.bias, 0.5)
        with torch.no_grad():
            self.mix.weight.copy_(torch.cat([torch.zeros(1, 3), 0.5 * torch.eye(3)]))

    def forward(self, sample, time, embedding):
        return self.mix(embedding)[:, None] + 0.01 * time[:, None] * torch.tanh(sample)


class BallDenoiser(Denoiser):
    def __init__(self):
        super().__init__()
        self.network = BallNetwork()

    def time_table(self, timesteps):
        return timesteps[:, None] / 1000

    def forward(self, sample, time, embedding):
        return self.network(sample, time, embedding)


class BallField(torch.nn.Module):
    def forward(self, points, latents):
        radius, color = latents[:, :, :1], latents[:, :, 1:]
        distance = radius - torch.linalg.norm(points, dim=-1, keepdim=True)
        return torch.tanh(distance), torch.relu(distance), color.clamp(0, 1).expand_as(points)


class BallOriginal(Original):
    def __init__(self, model, recipe):
        super().__init__(model.pipeline(recipe), recipe, model.scheduler)
        self.text, self.network, self.shape = BallText(), BallNetwork(), BallField()

    def read(self, requests):
        ids = [[WORDS.index(word) for word in request["prompt"].split() if word in WORDS] for request in requests]
        return {"input_ids": np.array([(row + [0] * 6)[:6] for row in ids], np.int64)}

    @torch.inference_mode()
    def run_program(self, stage, arrays):
        if stage == "text_encoder":
            return {"embedding": self.text(torch.from_numpy(arrays["input_ids"])).numpy()}
        values = self.shape(torch.from_numpy(arrays["points"]), torch.from_numpy(arrays["latents"]))
        return dict(zip(("signed_distance", "density", "color"), (v.numpy() for v in values), strict=True))

    def predict(self, stage, sample, timestep, embedding):
        return self.network(sample, timestep.expand(len(sample), 1) / 1000, embedding)

    def load(self):
        pass


class Balls(Model):
    def __init__(self, weights):
        self.weights_source = weights
        self.weights_digest = hashlib.sha256(weights.encode()).hexdigest()
        self.trained = False

    def pipeline(self, recipe):
        ids, embedding = (
            TensorSpec("input_ids", "int64", ("batch", 6)),
            TensorSpec("embedding", "float32", ("batch", 3)),
        )
        latents, points = (
            TensorSpec("latents", "float32", ("batch", 1, 4)),
            TensorSpec("points", "float32", ("batch", "points", 3)),
        )
        sizes = {"signed_distance": 1, "density": 1, "color": 3}
        outputs = [TensorSpec(name, "float32", ("batch", "points", size)) for name, size in sizes.items()]
        volume = Volume(distance="signed_distance", density="density", color="color")
        return Pipeline(
            inputs={"prompt": TextInput(tensor="input_ids", file="words.json", length=6, pad_id=0)},
            stages={
                "text_encoder": PipelineStage(kind="encode", inputs=[ids], outputs=[embedding]),
                "denoiser": PipelineStage(kind="sample", inputs=[embedding], outputs=[latents]),
                "field": PipelineStage(kind="field", inputs=[points, latents], outputs=outputs, volume=volume),
            },
            assets={"mesh": MeshAsset(stage="field", grid=recipe.mesh.grid, extraction=recipe.mesh.extraction)},
        )

    def input_files(self):
        tokenizer = WordTokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[pad]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return {"words.json": tokenizer.to_str().encode()}

    def modules(self, recipe):
        return {"text_encoder": BallText, "denoiser": BallDenoiser, "field": BallField}

    def scheduler(self, stage):
        return DDIMScheduler(num_train_timesteps=1000, prediction_type="sample", clip_sample=True)

    def original(self, recipe):
        return BallOriginal(self, recipe)


TOLERANCES = {
    "stage_snr_db": 90.0,
    "trajectory_snr_db": 90.0,
    "latents_relative_l2": 1e-4,
    "mesh_iou": 0.999,
    "chamfer": 1e-4,
}
RECIPE = {
    "name": "balls",
    "model": {"family": "balls", "weights": "made-of-rubber"},
    "sampler": {"scheduler": "ddim", "steps": 5, "guidance_scale": 1.0},
    "mesh": {"grid": 24},
    "quantization": {"rules": []},
    "goldens": {"prompts": ["a red ball", "a blue ball"]},
    "validation": {"tolerances": {"fp32": TOLERANCES}},
}
