"""TripoSR as its authors' code runs it: the side that every program is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from exporter.families.original import Original
from exporter.families.triposr.triplane_field import Radiance, TriplaneField, TriplaneRenderer
from exporter.families.triposr.triplane_networks import scene_planes
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.runtime.inputs.framing import without_plain_background
from exporter.runtime.inputs.picture import Picture, opened
from exporter.runtime.run import Arrays, Request

FOREGROUND, BACKGROUND = 0.85, 0.5  # tsr/run.py, --foreground-ratio, and grey
PLAIN_TOLERANCE = 24
POINTS_AT_ONCE, RAYS_AT_ONCE = 8192, 512


class TripoSRParts(NamedTuple):
    """The parts of a TripoSR, as functions that load them, and how a picture is read."""

    vision: Callable[[], tuple[Any, Any]]
    tokenizer: Callable[[], Any]
    backbone: Callable[[], Any]
    post_processor: Callable[[], Any]
    radiance: Callable[[], Radiance]
    read: Callable[[Any], np.ndarray]


class TripoSROriginal(Original):
    """The networks of the release in PyTorch, one object after the other at points and along rays."""

    def __init__(self, parts: TripoSRParts, pipeline: Pipeline, recipe: Recipe, samples: int) -> None:
        super().__init__(pipeline, recipe, self.no_scheduler)
        self.parts = parts
        self.samples = samples

    def read(self, requests: Sequence[Request]) -> Arrays:
        return {"pixels": np.stack([self.parts.read(request["picture"]) for request in requests])}

    @torch.inference_mode()
    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        run = {"image_encoder": self._encode, "backbone": self._planes, "field": self._field, "renderer": self._render}
        return run[stage](arrays)

    def predict(
        self, stage: str, sample: torch.Tensor, timestep: torch.Tensor, *conditions: torch.Tensor
    ) -> torch.Tensor:
        raise TypeError("TripoSR samples nothing")

    def load(self) -> None:
        for part in self.parts[:-1]:
            part()

    def with_network(self, wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> TripoSROriginal:
        """With what makes planes of a picture wrapped; points and rays are evaluated as before."""
        parts = self.parts

        def vision() -> tuple[Any, Any]:
            tower, norm = parts.vision()
            return wrap(tower), norm

        wrapped = parts._replace(
            vision=cache(vision),
            backbone=cache(lambda: wrap(parts.backbone())),
            post_processor=cache(lambda: wrap(parts.post_processor())),
        )
        return TripoSROriginal(wrapped, self.pipeline, self.recipe, self.samples)

    @staticmethod
    def no_scheduler(stage: str) -> Any:
        raise TypeError("TripoSR samples nothing")

    def _encode(self, arrays: Arrays) -> Arrays:
        tower, _ = self.parts.vision()
        return {"image_tokens": tower(torch.from_numpy(arrays["pixels"])).numpy()}

    def _planes(self, arrays: Arrays) -> Arrays:
        parts = self.parts
        attended = parts.vision()[1](torch.from_numpy(arrays["image_tokens"]))
        made = scene_planes(parts.tokenizer(), parts.backbone(), parts.post_processor(), attended)
        return {"planes": made.numpy()}

    def _field(self, arrays: Arrays) -> Arrays:
        names = [spec.name for spec in self.pipeline.stages["field"].outputs]
        made = self._in_parts(TriplaneField(self.parts.radiance()), arrays["points"], arrays["planes"], POINTS_AT_ONCE)
        return dict(zip(names, made, strict=True))

    def _render(self, arrays: Arrays) -> Arrays:
        renderer = TriplaneRenderer(self.parts.radiance(), self.samples)
        return {"color": self._in_parts(renderer, arrays["rays"], arrays["planes"], RAYS_AT_ONCE)[0]}

    @staticmethod
    def _in_parts(module: torch.nn.Module, places: np.ndarray, planes: np.ndarray, at_once: int) -> list[np.ndarray]:
        given = torch.from_numpy(planes)
        made = [module(part, given) for part in torch.from_numpy(places).split(at_once, dim=1)]
        columns = zip(*(one if isinstance(one, tuple) else (one,) for one in made), strict=True)
        return [torch.cat(column, dim=1).numpy() for column in columns]


def read_as_released(picture: Picture, size: int) -> np.ndarray:
    """A picture [3, size, size] as run.py and `ImagePreprocessor` read it. Where no network has cut the object out, a
    plain background is cut here."""
    image = np.asarray(opened(picture).convert("RGBA"))
    if image[..., 3].min() == 255:
        image = without_plain_background(image, PLAIN_TOLERANCE)
    rows, columns = np.where(image[..., 3] > 0)
    foreground = image[rows.min() : rows.max(), columns.min() : columns.max()]
    square = _padded(foreground, max(foreground.shape[:2]))
    values = _padded(square, int(len(square) / FOREGROUND)).astype(np.float32) / 255.0
    over = values[:, :, :3] * values[:, :, 3:4] + (1 - values[:, :, 3:4]) * BACKGROUND
    pixels = torch.from_numpy((over * 255.0).astype(np.uint8).astype(np.float32) / 255.0).permute(2, 0, 1)[None]
    return F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False, antialias=True)[0].numpy()


def _padded(image: np.ndarray, edge: int) -> np.ndarray:
    """An image in the middle of a transparent square."""
    before = [(edge - side) // 2 for side in image.shape[:2]]
    after = [edge - side - first for side, first in zip(image.shape[:2], before, strict=True)]
    return np.pad(image, [*zip(before, after, strict=True), (0, 0)])
