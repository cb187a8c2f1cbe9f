"""Random objects: what a caption can say (attributes), what it leaves open (yaw, scale, proportions, hue), and their
distance fields.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from training.primitives import KIND_INDEX, KINDS
from training.shapes import PART, SHAPES

COLORS = {
    "red": (0.85, 0.12, 0.12),
    "orange": (0.95, 0.52, 0.08),
    "yellow": (0.93, 0.87, 0.15),
    "green": (0.15, 0.62, 0.2),
    "cyan": (0.2, 0.8, 0.85),
    "blue": (0.13, 0.25, 0.85),
    "purple": (0.55, 0.18, 0.7),
    "black": (0.09, 0.09, 0.1),
}
FORMS = ("plain", "tall", "flat", "small")
ASPECT = {"plain": (0.9, 1.12), "tall": (1.5, 1.8), "flat": (0.5, 0.64), "small": (0.9, 1.12)}
SCALE = {"plain": (1.0, 1.4), "tall": (1.0, 1.2), "flat": (0.95, 1.12), "small": (0.52, 0.68)}
MAX_BLOCKS = 8
VARIATIONS = 6
LIGHT = np.array([1.0, -1.5, 2.5]) / np.linalg.norm([1.0, -1.5, 2.5])
AMBIENT = 0.55
VIEW_DISTANCE = 3.2
FIELD_OF_VIEW = 0.7

SHAPE_NAMES, COLOR_NAMES = tuple(SHAPES), tuple(COLORS)


@dataclass(frozen=True)
class Attributes:
    """What a caption can say of an object. `part_color` is None where the whole object has one colour."""

    shape: str
    color: str
    form: str = "plain"
    part_color: str | None = None


@dataclass
class Object:
    attributes: Attributes
    scale: float
    aspect: float
    yaw: float
    variation: np.ndarray
    hue: np.ndarray = field(default_factory=lambda: np.zeros(6))

    def parameters(self) -> np.ndarray:
        """All that determines the object, as the latent encoder sees it: float32 [PARAMETERS]."""
        a = self.attributes
        shape = np.eye(len(SHAPE_NAMES))[SHAPE_NAMES.index(a.shape)]
        form = np.eye(len(FORMS))[FORMS.index(a.form)]
        turn = np.array([np.sin(self.yaw), np.cos(self.yaw), np.sin(2 * self.yaw), np.cos(2 * self.yaw)])
        size = np.array([(self.scale - 1) * 3, np.log(self.aspect) * 3])
        tones = self.tones().reshape(-1) * 3 - 1.5
        return np.concatenate(
            [shape, form, turn, size, self.variation, tones, [float(a.part_color is not None)]]
        ).astype(np.float32)

    def tones(self) -> np.ndarray:
        """sRGB of body and part: [2, 3]."""
        a = self.attributes
        base = np.array([COLORS[a.color], COLORS[a.part_color or a.color]])
        hue = self.hue.reshape(2, 3) if a.part_color else np.tile(self.hue[:3], (2, 1))
        return np.clip(base + hue, 0, 1)


TURN = slice(len(SHAPE_NAMES) + len(FORMS), len(SHAPE_NAMES) + len(FORMS) + 4)
PARAMETERS = len(SHAPE_NAMES) + len(FORMS) + 4 + 2 + VARIATIONS + 6 + 1


def draw(rng: np.random.Generator, attributes: Attributes) -> Object:
    """An object that fits the attributes, everything else at random."""
    used = attributes.form
    return Object(
        attributes,
        scale=rng.uniform(*SCALE[used]),
        aspect=rng.uniform(*ASPECT[used]),
        yaw=rng.uniform(0, 2 * np.pi),
        variation=rng.uniform(-1, 1, VARIATIONS),
        hue=rng.uniform(-0.06, 0.06, 6),
    )


_AXES = {
    "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "x": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "y": [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
}


@dataclass
class Scene:
    """A batch of B objects as tensors; the distance field of each is that of the union of its blocks."""

    kind: Tensor  # [B, MAX_BLOCKS] index into KINDS, -1 where there is no block
    center: Tensor  # [B, MAX_BLOCKS, 3]
    axes: Tensor  # [B, MAX_BLOCKS, 3, 3] rows: the block's own x, y, z
    dims: Tensor  # [B, MAX_BLOCKS, 4]
    tone: Tensor  # [B, MAX_BLOCKS]
    stretch: Tensor  # [B, 3]
    turn: Tensor  # [B, 2] cosine and sine of the yaw
    tones: Tensor  # [B, 2, 3]

    @classmethod
    def of(cls, objects: list[Object], device: torch.device | str = "cpu") -> "Scene":
        n = len(objects)
        kind = np.full((n, MAX_BLOCKS), -1)
        center, dims = np.zeros((n, MAX_BLOCKS, 3)), np.full((n, MAX_BLOCKS, 4), 0.1)
        axes, tone = np.zeros((n, MAX_BLOCKS, 3, 3)), np.zeros((n, MAX_BLOCKS))
        stretch, turn, tones = np.zeros((n, 3)), np.zeros((n, 2)), np.zeros((n, 2, 3))
        for i, obj in enumerate(objects):
            for j, block in enumerate(SHAPES[obj.attributes.shape].build(obj.variation)):
                kind[i, j], center[i, j] = KIND_INDEX[block.kind], block.center
                dims[i, j, : len(block.dims)] = block.dims
                axes[i, j], tone[i, j] = _AXES[block.axis], block.tone == PART
            stretch[i] = obj.scale * np.array([obj.aspect**-0.4, obj.aspect**-0.4, obj.aspect**0.6])
            turn[i] = np.cos(obj.yaw), np.sin(obj.yaw)
            tones[i] = obj.tones()

        def tensor(array: np.ndarray) -> Tensor:
            return torch.tensor(array, dtype=torch.float32, device=device)

        return cls(
            torch.tensor(kind, device=device), tensor(center), tensor(axes), tensor(dims),
            torch.tensor(tone, dtype=torch.long, device=device), tensor(stretch), tensor(turn), tensor(tones),
        )  # fmt: skip

    def __getitem__(self, index) -> "Scene":
        return Scene(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def distances(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """points [B, P, 3] -> signed distance [B, P] (negative inside) and the nearest block's tone [B, P]."""
        c, s = self.turn[:, None, 0], self.turn[:, None, 1]
        x, y, z = points.unbind(-1)
        local = torch.stack([c * x + s * y, c * y - s * x, z], -1) / self.stretch[:, None]
        all_distances = points.new_full((*self.kind.shape, points.shape[1]), 1e3)
        for index, function in enumerate(KINDS.values()):
            b, j = (self.kind == index).nonzero(as_tuple=True)
            if len(b):
                in_block = (local[b] - self.center[b, j][:, None]) @ self.axes[b, j].transpose(1, 2)
                all_distances[b, j] = function(in_block, self.dims[b, j][:, None])
        nearest, block = all_distances.min(1)
        return nearest * self.stretch.amin(-1, keepdim=True), self.tone.gather(1, block)

    def normals(self, points: Tensor, step: float = 2e-3) -> tuple[Tensor, Tensor]:
        """Outward unit normals [B, P, 3] and the field's slope [B, P], by central differences."""
        offsets = torch.eye(3, device=points.device) * step
        gradient = torch.stack([self.distances(points + o)[0] - self.distances(points - o)[0] for o in offsets], -1) / (
            2 * step
        )
        slope = gradient.norm(dim=-1)
        return gradient / slope[..., None].clamp(min=1e-6), slope

    def albedo(self, tone: Tensor) -> Tensor:
        """tone [B, P] -> sRGB [B, P, 3]."""
        return self.tones.gather(1, tone[..., None].expand(-1, -1, 3))


def lambert(normals: Tensor) -> Tensor:
    """The share of light a surface gives back under the fixed lamp: normals [..., 3] -> [...]."""
    light = torch.tensor(LIGHT, dtype=normals.dtype, device=normals.device)
    return AMBIENT + (1 - AMBIENT) * (normals @ light).clamp(min=0)
