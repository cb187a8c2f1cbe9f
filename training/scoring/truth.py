"""The training distribution itself as a pipeline, so that the judge can be judged, and the decoder's ceiling known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from exporter.families.original import Original
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import BATCH, POINTS, TensorSpec
from exporter.runtime.run import Arrays, Draws, OnStep, Request
from training.captions import all_attributes, is_true
from training.latents import SHARPNESS, Encoder
from training.objects import Attributes, Object, Scene, draw
from validate.judge.prompts import Prompt

NUMBER = TensorSpec("number", "int64", (BATCH, 1))  # of the prompt
OBJECT = TensorSpec("object", "float32", (BATCH, 1, 1))
VOLUME = Volume(distance="signed_distance", density="density", color="color")
FIELD = PipelineStage(
    kind="field",
    inputs=[TensorSpec("points", "float32", (BATCH, POINTS, 3)), OBJECT],
    outputs=[
        TensorSpec(name, "float32", (BATCH, POINTS, size))
        for name, size in ((VOLUME.distance, 1), (VOLUME.density, 1), (VOLUME.color, 3))
    ],
    volume=VOLUME,
)


def drawing(latents: TensorSpec, stages: dict[str, PipelineStage], mesh: MeshAsset) -> Pipeline:
    """Prompts to latents that are drawn, and from there to a mesh."""
    draw_stage = PipelineStage(kind="sample", inputs=[NUMBER], outputs=[latents])
    prompt = TextInput(tensor=NUMBER.name, file="", length=2, pad_id=0)
    return Pipeline(inputs={"prompt": prompt}, stages={"draw": draw_stage, **stages}, assets={"mesh": mesh})


class GroundTruth:
    """Draws an object that fits the prompt; its field is the exact one. Satisfies the `Programs` protocol."""

    pipeline = drawing(OBJECT, {"field": FIELD}, MeshAsset(stage="field", grid=128, extraction="exact"))

    def __init__(self, prompts: list[Prompt]) -> None:
        everything = all_attributes()
        self.texts = [p.text for p in prompts]
        self.fitting = [[a for a in everything if is_true(dict(p.attributes), a)] for p in prompts]
        self.objects: list[Object] = []

    def read(self, requests: Sequence[Request]) -> Arrays:
        """The number of each prompt."""
        return {NUMBER.name: np.array([[self.texts.index(request["prompt"])] for request in requests])}

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        self.objects += self.draw(arrays[NUMBER.name], noise)
        new = np.arange(len(self.objects) - len(noise), len(self.objects))
        return new.astype(np.float32).reshape(-1, 1, 1)

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        scene = Scene.of([self.objects[int(i)] for i in arrays[OBJECT.name][:, 0, 0]])
        distance, tone = scene.distances(torch.from_numpy(arrays["points"]))
        return {
            VOLUME.distance: torch.tanh(-SHARPNESS * distance)[..., None].numpy(),
            VOLUME.density: (distance < 0).float()[..., None].numpy(),
            VOLUME.color: scene.albedo(tone).numpy(),
        }

    def draw(self, numbers: np.ndarray, noise: np.ndarray) -> list[Object]:
        """One object a row: the prompt's number [B, 1] and the noise [B, ...] settle everything."""
        return [self._draw(self.fitting[int(row[0])], noise[i]) for i, row in enumerate(numbers)]

    def _draw(self, fitting: list[Attributes], noise: np.ndarray) -> Object:
        rng = np.random.default_rng(int(noise.reshape(-1)[:1].view(np.uint32)[0]))
        return draw(rng, fitting[rng.integers(len(fitting))])


class DecodedTruth(GroundTruth):
    """The same objects, through the latent encoder and the model's own decoder: the best that any prior could do."""

    def __init__(self, prompts: list[Prompt], encoder: Encoder, decoder: Original) -> None:
        super().__init__(prompts)
        self.encoder, self.decoder = encoder, decoder
        own = decoder.pipeline
        stages = {name: own.stages[name] for name in own.of_kind("map", "field")}
        self.pipeline = drawing(own.stages["denoiser"].makes[0], stages, own.asset(MeshAsset))

    @torch.inference_mode()
    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        drawn = self.draw(arrays[NUMBER.name], noise)
        return self.encoder(torch.tensor(np.stack([o.parameters() for o in drawn]))).numpy()

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        return self.decoder.run_program(stage, arrays)


def load_encoder(work: Path) -> Encoder:
    """The encoder whose latents the packaged priors learnt, which is not shipped."""
    from training.config import Config

    encoder = Encoder(Config().latents)
    encoder.load_state_dict(torch.load(work / "matched_encoder.pt", weights_only=True, map_location="cpu"))
    return encoder.eval()
