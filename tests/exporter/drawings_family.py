"""A model family in one file: words to a drawing, by flow matching on latents [C, H, W] and a convolutional decoder."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from tokenizers import Tokenizer as WordTokenizer
from tokenizers import models, pre_tokenizers
from torch.nn.functional import interpolate, scaled_dot_product_attention

from exporter.families.family import Model
from exporter.families.original import Original
from exporter.pipeline.assets import ImageAsset, PixelTensor
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.denoiser import Denoiser

WORDS = ["[blank]", "red", "green", "blue", "pale", "dark"]
INKS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "pale": (0.3, 0.3, 0.3), "dark": (-0.3, -0.3, -0.3)}
LENGTH, WIDTH = 5, 16
HEIGHT, ACROSS, SCALE = 4, 6, 4
LETTERS = TensorSpec("letters", "int64", ("batch", LENGTH))
VERSE = TensorSpec("verse", "float32", ("batch", LENGTH, WIDTH))
STROKES = TensorSpec("strokes", "float32", ("batch", 3, HEIGHT, ACROSS))
CANVAS = TensorSpec("canvas", "float32", ("batch", 3, SCALE * HEIGHT, SCALE * ACROSS))
DRAWING = ImageAsset(stage="inker", pixels=PixelTensor(name="canvas", range=(-1.0, 1.0), channels="first"))


def drawn(seed, *shape, scale=0.05):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Speller(torch.nn.Module):
    """Words to tokens: the ink of each in its first three numbers."""

    def __init__(self):
        super().__init__()
        self.table, self.out = torch.nn.Embedding(len(WORDS), WIDTH), torch.nn.Linear(WIDTH, WIDTH, bias=False)
        with torch.no_grad():
            self.out.weight.copy_(torch.eye(WIDTH) + drawn(9, WIDTH, WIDTH))
            self.table.weight.copy_(drawn(1, len(WORDS), WIDTH))
            self.table.weight[0] = 0
            for word, ink in INKS.items():
                self.table.weight[WORDS.index(word), :3] = torch.tensor(ink)

    def forward(self, letters):
        return self.out(self.table(letters))


class Sketcher(Denoiser):
    """The velocity away from a goal that every cell of the latents makes of the tokens by attention.

    What is left of the noise at the end is a sixth of it, so that seeds differ.
    """

    def __init__(self):
        super().__init__()
        self.cells = torch.nn.Parameter(drawn(2, HEIGHT * ACROSS, WIDTH, scale=1.0))
        self.keys, self.values, self.goal = (torch.nn.Linear(WIDTH, out) for out in (WIDTH, WIDTH, 3))
        with torch.no_grad():
            self.keys.weight.copy_(drawn(3, WIDTH, WIDTH, scale=0.3))
            self.values.weight.copy_(torch.eye(WIDTH) + drawn(4, WIDTH, WIDTH))
            self.goal.weight.copy_(drawn(5, 3, WIDTH))
            self.keys.bias.zero_()
            self.values.bias.zero_()
            self.goal.weight[:, :3] += 6 * torch.eye(3)
            self.goal.bias.fill_(-0.8)

    def time_table(self, timesteps):
        return 1 / (timesteps[:, None] / 1000 + 0.2)

    def forward(self, sample, time, verse):
        queries = self.cells.expand(verse.shape[0], -1, -1)
        weights = torch.softmax(queries @ self.keys(verse).transpose(1, 2) / math.sqrt(WIDTH), dim=-1)
        goal = self.goal(weights @ self.values(verse)).transpose(1, 2).unflatten(2, (HEIGHT, ACROSS))
        return (sample - goal) * time[:, :, None, None]


class Inker(torch.nn.Module):
    """Latents four times as large, smoothed by a convolution, through a hidden layer and a tanh."""

    def __init__(self):
        super().__init__()
        self.smooth = torch.nn.Conv2d(3, WIDTH, 3, padding=1)
        self.mix, self.ink = torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.Linear(4 * WIDTH, 3)
        with torch.no_grad():
            self.smooth.weight.copy_(drawn(6, WIDTH, 3, 3, 3))
            self.smooth.weight[:3] += torch.eye(3)[:, :, None, None] / 9
            self.smooth.bias.fill_(3.0)
            self.mix.weight.copy_(drawn(7, 4 * WIDTH, WIDTH, scale=0.02))
            self.mix.weight[:3, :3] += torch.eye(3)
            self.mix.bias.zero_()
            self.ink.weight.copy_(drawn(8, 3, 4 * WIDTH, scale=0.02))
            self.ink.weight[:, :3] += torch.eye(3)
            self.ink.bias.fill_(-3.0)

    def forward(self, strokes):
        fine = interpolate(strokes, scale_factor=SCALE, mode="nearest")
        hidden = torch.relu(self.mix(self.smooth(fine).flatten(2).transpose(1, 2)))
        return torch.tanh(self.ink(hidden)).transpose(1, 2).unflatten(2, fine.shape[2:])


class DrawingsOriginal(Original):
    """The same with the means of PyTorch that its authors would have used."""

    def __init__(self, model, recipe):
        super().__init__(model.pipeline(recipe), recipe, model.scheduler)
        self.speller, self.sketcher, self.inker = Speller(), Sketcher(), Inker()

    def read(self, requests):
        rows = [[WORDS.index(w) if w in WORDS else 0 for w in one["caption"].split()] for one in requests]
        return {"letters": np.array([(row + [0] * LENGTH)[:LENGTH] for row in rows], np.int64)}

    @torch.inference_mode()
    def run_program(self, stage, arrays):
        if stage == "speller":
            rows = self.speller.table.weight[torch.from_numpy(arrays["letters"])]
            return {"verse": (rows @ self.speller.out.weight.T).numpy()}
        return {"canvas": self.inker(torch.from_numpy(arrays["strokes"])).numpy()}

    def predict(self, stage, sample, timestep, verse):
        net = self.sketcher
        cells = net.cells.expand(len(verse), -1, -1)
        seen = scaled_dot_product_attention(cells, net.keys(verse), net.values(verse))
        goal = net.goal(seen).movedim(-1, 1).reshape(sample.shape)
        return (sample - goal) / (timestep / 1000 + 0.2)

    def load(self):
        pass


class Drawings(Model):
    def __init__(self, weights):
        self.weights_source = weights
        self.weights_digest = hashlib.sha256(weights.encode()).hexdigest()
        self.trained = True

    def pipeline(self, recipe):
        return Pipeline(
            inputs={"caption": TextInput(tensor="letters", file="letters.json", length=LENGTH, pad_id=0)},
            stages={
                "speller": PipelineStage(kind="encode", inputs=[LETTERS], outputs=[VERSE]),
                "sketcher": PipelineStage(kind="sample", inputs=[VERSE], outputs=[STROKES]),
                "inker": PipelineStage(kind="map", inputs=[STROKES], outputs=[CANVAS]),
            },
            assets={"drawing": DRAWING},
        )

    def input_files(self):
        tokenizer = WordTokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[blank]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return {"letters.json": tokenizer.to_str().encode()}

    def modules(self, recipe):
        return {"speller": Speller, "sketcher": Sketcher, "inker": Inker}

    def scheduler(self, stage):
        return FlowMatchEulerDiscreteScheduler(shift=3.0)

    def original(self, recipe):
        return DrawingsOriginal(self, recipe)


RECIPE = {
    "name": "drawings",
    "model": {"family": "drawings", "weights": "by hand"},
    "sampler": {"scheduler": "flow_euler", "steps": 6, "guidance_scale": 1.5},
    "quantization": {"rules": [], "calibration": {"prompts": ["red", "green dark", "blue", "pale red", "green blue"]}},
    "goldens": {"prompts": ["red", "pale blue"]},
    "validation": {
        "tolerances": {
            "fp32": {
                "stage_snr_db": 90.0,
                "trajectory_snr_db": 90.0,
                "latents_relative_l2": 1e-4,
                "render_psnr_db": 60.0,
            },
            "fp16": {
                "stage_snr_db": 45.0,
                "trajectory_snr_db": 45.0,
                "latents_relative_l2": 0.02,
                "render_psnr_db": 40.0,
            },
            "int8": {
                "stage_snr_db": 20.0,
                "trajectory_snr_db": 20.0,
                "latents_relative_l2": 0.1,
                "render_psnr_db": 25.0,
            },
        }
    },
}
