"""A model family in one file: words to few points and on to many, by two samplers that predict noise, the first with
churn; no surface."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from diffusers import DDIMScheduler
from tokenizers import Tokenizer as WordTokenizer
from tokenizers import models, pre_tokenizers

from exporter.families.family import Model
from exporter.families.original import Original
from exporter.pipeline.assets import PointsAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.denoiser import Denoiser

VERSE = ["[pad]", "a", "red", "green", "blue", "swarm"]
HUES = torch.eye(3)[[0, 0, 0, 1, 2, 0]] * torch.tensor([0, 0, 1, 1, 1, 0])[:, None]
FEW, MANY, WIDTH = 24, 72, 64
RADIUS, HALF_WIDTH, BRIGHTEST = 0.6, 0.5, 255.0
WORD_IDS = TensorSpec("word_ids", "int64", ("batch", 5))
TONE = TensorSpec("tone", "float32", ("batch", 3))
SEEDS = TensorSpec("seeds", "float32", ("batch", 6, FEW))
EXTRA = TensorSpec("extra", "float32", ("batch", 6, MANY))
SPOTS = TensorSpec("spots", "float32", ("batch", FEW + MANY, 3))
TINTS = TensorSpec("tints", "float32", ("batch", FEW + MANY, 3))


def scheduler():
    return DDIMScheduler(
        num_train_timesteps=1024, beta_schedule="squaredcos_cap_v2", prediction_type="epsilon", clip_sample=True
    )


class Reader(torch.nn.Module):
    """Adds up the colours of the words, by way of a layer that only weighs them."""

    def __init__(self):
        super().__init__()
        self.hues, self.weigh = torch.nn.Buffer(HUES), torch.nn.Linear(3, 3)
        with torch.no_grad():
            self.weigh.weight.copy_(0.875 * torch.eye(3))
            self.weigh.bias.zero_()

    def forward(self, word_ids):
        return self.weigh(self.hues[word_ids].sum(dim=1))


class Swarm(Denoiser):
    """The noise in points [B, 6, N] that are to lie on a ball, each in its own direction, in the words' colour.

    Those of the second sampler follow the mean of the first's.
    """

    def __init__(self, seed, follows):
        super().__init__()
        drawn = torch.Generator().manual_seed(seed)
        self.see, self.hear = torch.nn.Linear(6, WIDTH), torch.nn.Linear(9 if follows else 3, WIDTH)
        self.mix, self.say = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, 6)
        self.paint = torch.nn.Linear(3, 3)
        self.kept = torch.nn.Buffer(torch.cumprod(1 - scheduler().betas.double(), 0).float())
        with torch.no_grad():
            for layer in (self.see, self.hear, self.mix, self.say):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=drawn) / layer.in_features**0.5)
                layer.bias.zero_()
            self.say.weight.mul_(0.05)
            self.paint.weight.copy_(torch.eye(3))
            self.paint.bias.fill_(-0.5)

    def time_table(self, timesteps):
        kept = self.kept[timesteps.long()]
        return torch.stack([kept.sqrt(), (1 - kept).sqrt()], dim=1)

    def forward(self, sample, time, tone, seeds=None):
        points = sample.transpose(1, 2)
        heard = tone if seeds is None else torch.cat([tone, seeds.mean(dim=2)], dim=1)
        hidden = torch.relu(self.mix(torch.relu(self.see(points) + self.hear(heard)[:, None])))
        places = RADIUS * points[..., :3] / (0.1 + torch.linalg.norm(points[..., :3], dim=-1, keepdim=True))
        wanted = torch.cat([places, self.paint(tone)[:, None].expand_as(places)], dim=-1) + self.say(hidden)
        signal, noise = time[:, None].chunk(2, dim=-1)
        return ((points - signal * wanted) / noise).transpose(1, 2)


class Palette(torch.nn.Module):
    """Few and many together, in the units that people use: places in half a unit, colours in bytes."""

    def forward(self, seeds, extra):
        points = torch.cat([seeds, extra], dim=2).transpose(1, 2)
        return HALF_WIDTH * points[..., :3], (BRIGHTEST / 2 * (points[..., 3:] + 1)).clamp(0.0, BRIGHTEST)


class CloudsOriginal(Original):
    def __init__(self, model, recipe):
        super().__init__(model.pipeline(recipe), recipe, model.scheduler)
        self.reader, self.palette = Reader(), Palette()
        self.swarms = {"sprinkle": Swarm(1, False), "thicken": Swarm(2, True)}

    def read(self, requests):
        ids = [[VERSE.index(word) for word in request["verse"].split() if word in VERSE] for request in requests]
        return {"word_ids": np.array([(row + [0] * 5)[:5] for row in ids], np.int64)}

    @torch.inference_mode()
    def run_program(self, stage, arrays):
        if stage == "reader":
            return {"tone": self.reader(torch.from_numpy(arrays["word_ids"])).numpy()}
        spots, tints = self.palette(torch.from_numpy(arrays["seeds"]), torch.from_numpy(arrays["extra"]))
        return {"spots": spots.numpy(), "tints": tints.numpy()}

    def predict(self, stage, sample, timestep, *conditions):
        swarm = self.swarms[stage]
        return swarm(sample, swarm.time_table(timestep.reshape(1)).expand(len(sample), -1), *conditions)

    def with_network(self, wrap):
        self.swarms = {stage: wrap(swarm) for stage, swarm in self.swarms.items()}
        return self

    def load(self):
        pass


class Clouds(Model):
    def __init__(self, weights):
        self.weights_source = weights
        self.weights_digest = hashlib.sha256(weights.encode()).hexdigest()
        self.trained = True

    def pipeline(self, recipe):
        return Pipeline(
            inputs={"verse": TextInput(tensor="word_ids", file="verse.json", length=5, pad_id=0)},
            stages={
                "reader": PipelineStage(kind="encode", inputs=[WORD_IDS], outputs=[TONE]),
                "sprinkle": PipelineStage(kind="sample", inputs=[TONE], outputs=[SEEDS]),
                "thicken": PipelineStage(kind="sample", inputs=[TONE, SEEDS], outputs=[EXTRA]),
                "palette": PipelineStage(kind="map", inputs=[SEEDS, EXTRA], outputs=[SPOTS, TINTS]),
            },
            assets={
                "swarm": PointsAsset(
                    positions="spots", half_width=HALF_WIDTH, colors="tints", color_range=(0.0, BRIGHTEST)
                )
            },
        )

    def input_files(self):
        tokenizer = WordTokenizer(models.WordLevel({w: i for i, w in enumerate(VERSE)}, unk_token="[pad]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return {"verse.json": tokenizer.to_str().encode()}

    def modules(self, recipe):
        return {
            "reader": Reader,
            "sprinkle": lambda: Swarm(1, False),
            "thicken": lambda: Swarm(2, True),
            "palette": Palette,
        }

    def scheduler(self, stage):
        return scheduler()

    def original(self, recipe):
        return CloudsOriginal(self, recipe)


def tolerances(stage, trajectory, latents, chamfer, colors):
    return {
        "stage_snr_db": stage,
        "trajectory_snr_db": trajectory,
        "latents_relative_l2": latents,
        "chamfer": chamfer,
        "render_psnr_db": colors,
    }


RECIPE = {
    "name": "clouds",
    "model": {"family": "clouds", "weights": "by hand"},
    "sampler": {
        "scheduler": "heun",
        "steps": 4,
        "highest_noise": 20.0,
        "lowest_noise": 0.01,
        "guidance_scale": 3.0,
        "clamp": "openai",
        "churn": {"s_churn": 1.0},
    },
    "samplers": {"thicken": {"steps": 3, "guidance_scale": 1.0, "highest_noise": 10.0, "churn": None}},
    "quantization": {
        "rules": [],
        "calibration": {"prompts": ["a red swarm", "a blue swarm", "a green swarm"], "steps": 3, "evaluations": 3},
    },
    "goldens": {"prompts": ["a red swarm", "a blue swarm"], "seed": 3},
    "validation": {
        "tolerances": {
            "fp32": tolerances(90.0, 90.0, 1e-4, 1e-4, 60.0),
            "fp16": tolerances(30.0, 30.0, 0.1, 0.05, 25.0),
            "int8": tolerances(20.0, 20.0, 0.2, 0.1, 20.0),
        }
    },
}
