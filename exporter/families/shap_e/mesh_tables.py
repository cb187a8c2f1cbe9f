"""The marching-cubes tables of diffusers' MeshDecoder, which a checkpoint carries as buffers, made from scikit-
image's algorithm.

Each of the 256 cube configurations is handed to `skimage.measure.marching_cubes` (Lorensen and Cline 1987) as a 2 x 2
x 2 volume, and its triangles are read back as edge numbers in diffusers' order.
"""

import itertools

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor

MAX_TRIANGLES = 5
# an edge's midpoint tells which edge it is: x edges first, then y, then z
_EDGES = {
    tuple(np.insert(np.array(ends, float), axis, 0.5)): axis * 4 + ends[0] + 2 * ends[1]
    for axis in range(3)
    for ends in itertools.product((0, 1), repeat=2)
}


def mesh_tables() -> tuple[Tensor, Tensor]:
    """(cases i64 [256, 5, 3], masks bool [256, 5]); bit x + 2 y + 4 z of a configuration is set where the field is
    positive.
    """
    cases = torch.zeros(256, MAX_TRIANGLES, 3, dtype=torch.long)
    masks = torch.zeros(256, MAX_TRIANGLES, dtype=torch.bool)
    for configuration in range(1, 255):
        corners = np.array([configuration >> i & 1 for i in range(8)]).reshape(2, 2, 2).transpose(2, 1, 0)
        volume = np.where(corners, 1.0, -1.0)
        vertices, faces, _, _ = marching_cubes(volume, 0.0, method="lorensen", gradient_direction="ascent")
        edges = [_EDGES[tuple(np.round(v * 2) / 2)] for v in vertices]
        for index, face in enumerate(faces):
            cases[configuration, index] = torch.tensor([edges[v] for v in face])
            masks[configuration, index] = True
    return cases, masks
