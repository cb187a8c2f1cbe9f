"""A model family in one file: coloured balls, built in seconds."""

from __future__ import annotations

import hashlib

import torch
from diffusers import DDIMScheduler
from tokenizers import Tokenizer as WordTokenizer
from tokenizers import models, pre_tokenizers

from exporter.families.family import Denoiser, LoadedModel, Reference, Tokenizer
from exporter.pipeline.tensor import TensorSpec
from exporter.pipeline.pure_module import PureModule

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


class BallReference(Reference):
    def __init__(self, model, settings):
        super().__init__(model.scheduler(), model.latent_shape, settings)
        self.text, self.network, self.shape = BallText(), BallNetwork(), BallField()

    def encode(self, prompts):
        ids = [[WORDS.index(word) for word in prompt.split() if word in WORDS] for prompt in prompts]
        rows = [(row + [0] * 6)[:6] for row in ids]
        return self.text(torch.tensor(rows)).numpy()

    def predict(self, sample, timestep, embedding):
        return self.network(sample, timestep.expand(len(sample), 1) / 1000, embedding)

    @torch.inference_mode()
    def field(self, points, context):
        values = self.shape(torch.from_numpy(points), torch.from_numpy(context["latents"]))
        return dict(zip(("signed_distance", "density", "color"), (v.numpy() for v in values), strict=True))


class Balls(LoadedModel):
    def __init__(self, weights):
        tokenizer = WordTokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[pad]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        self.weights_source = weights
        self.weights_digest = hashlib.sha256(weights.encode()).hexdigest()
        self.trained = False
        self.tokenizer = Tokenizer(tokenizer.to_str().encode(), context_length=6, pad_id=0)
        self.latent_shape = (1, 4)
        self.embedding_width = 3

    def scheduler(self):
        return DDIMScheduler(num_train_timesteps=1000, prediction_type="sample", clip_sample=True)

    def stages(self, render):
        return {"text_encoder": self.text_stage, "field": self.field_stage}

    def denoiser(self):
        return BallDenoiser()

    def reference(self, sampler, render):
        return BallReference(self, sampler)

    def text_stage(self):
        ids, embedding = (
            TensorSpec("input_ids", "int64", ("batch", 6)),
            TensorSpec("embedding", "float32", ("batch", 3)),
        )
        return PureModule("text_encoder", BallText(), (ids,), (embedding,))

    def field_stage(self):
        sizes = {"signed_distance": 1, "density": 1, "color": 3}
        points = TensorSpec("points", "float32", ("batch", "points", 3))
        latents = TensorSpec("latents", "float32", ("batch", 1, 4))
        outputs = tuple(TensorSpec(name, "float32", ("batch", "points", size)) for name, size in sizes.items())
        return PureModule("field", BallField(), (points, latents), outputs)


TOLERANCES = {
    "stage_snr_db": 90.0,
    "trajectory_snr_db": 90.0,
    "latents_relative_l2": 1e-4,
    "mesh_iou": 0.999,
    "chamfer": 1e-4,
    "render_psnr_db": 50.0,
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
