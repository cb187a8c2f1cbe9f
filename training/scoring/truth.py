"""The training distribution itself as a generator, so that the judge can be judged and the decoder's ceiling be
known.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from exporter.runtime.generator import Context, Generator
from training.captions import all_attributes, is_true
from training.latents import SHARPNESS, Encoder
from training.objects import Attributes, Object, Scene, draw
from validate.judge.prompts import Prompt

OnStep = Callable[[int, np.ndarray, np.ndarray], None]


class GroundTruth:
    """Draws an object that fits the prompt; its field is the exact one. Satisfies the Generator protocol."""

    latent_shape = (1, 1)

    def __init__(self, prompts: list[Prompt]) -> None:
        everything = all_attributes()
        self.texts = [p.text for p in prompts]
        self.fitting = [[a for a in everything if is_true(dict(p.attributes), a)] for p in prompts]
        self.objects: list[Object] = []

    def encode(self, prompts: list[str]) -> np.ndarray:
        return np.array([[self.texts.index(text)] for text in prompts], np.float32)

    def draw(self, embedding: np.ndarray, noise: np.ndarray) -> list[Object]:
        """One object a row: the prompt's index [B, 1] and the noise [B, N, D] settle everything."""
        return [self._draw(self.fitting[int(row[0])], noise[i]) for i, row in enumerate(embedding)]

    def _draw(self, fitting: list[Attributes], noise: np.ndarray) -> Object:
        rng = np.random.default_rng(int(noise.reshape(-1)[:1].view(np.uint32)[0]))
        return draw(rng, fitting[rng.integers(len(fitting))])

    def sample(self, embedding: np.ndarray, noise: np.ndarray, on_step: OnStep | None = None) -> np.ndarray:
        self.objects += self.draw(embedding, noise)
        new = np.arange(len(self.objects) - len(embedding), len(self.objects))
        return new.astype(np.float32).reshape(-1, 1, 1)

    def project(self, latents: np.ndarray) -> Context:
        return {}

    def field(self, points: np.ndarray, context: Context) -> Context:
        scene = Scene.of([self.objects[int(i)] for i in context["latents"][:, 0, 0]])
        at = torch.from_numpy(points)
        distance, tone = scene.distances(at)
        return {
            "signed_distance": torch.tanh(-SHARPNESS * distance)[..., None].numpy(),
            "density": (distance < 0).float()[..., None].numpy(),
            "color": scene.albedo(tone).numpy(),
        }

    def render(self, rays: np.ndarray, context: Context) -> np.ndarray:
        raise TypeError("the ground truth is scored by its mesh, it has no radiance field")


class DecodedTruth(GroundTruth):
    """The same objects, through the latent encoder and the model's own decoder: the best that any prior could do."""

    def __init__(self, prompts: list[Prompt], encoder: Encoder, decoder: Generator) -> None:
        super().__init__(prompts)
        self.encoder, self.decoder = encoder, decoder
        self.latent_shape = decoder.latent_shape

    @torch.inference_mode()
    def sample(self, embedding: np.ndarray, noise: np.ndarray, on_step: OnStep | None = None) -> np.ndarray:
        drawn = self.draw(embedding, noise)
        return self.encoder(torch.tensor(np.stack([o.parameters() for o in drawn]))).numpy()

    def project(self, latents: np.ndarray) -> Context:
        return self.decoder.project(latents)

    def field(self, points: np.ndarray, context: Context) -> Context:
        return self.decoder.field(points, context)


def load_encoder(work: Path) -> Encoder:
    """The trained encoder, which is not shipped."""
    from training.config import Config

    encoder = Encoder(Config().latents)
    state = torch.load(work / "latents.pt", weights_only=True, map_location="cpu")
    encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")})
    return encoder.eval()
