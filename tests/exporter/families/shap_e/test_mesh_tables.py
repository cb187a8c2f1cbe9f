"""diffusers' own mesh decoder with our tables: closed, outward, on the surface."""

import numpy as np
import torch
import trimesh
from diffusers.pipelines.shap_e.renderer import MeshDecoder

from exporter.families.shap_e.mesh_tables import mesh_tables


def test_diffusers_makes_a_closed_outward_sphere():
    decoder = MeshDecoder()
    cases, masks = mesh_tables()
    decoder.cases.copy_(cases)
    decoder.masks.copy_(masks)
    axis = torch.linspace(-1, 1, 24)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    field = 0.6 - (x**2 + y**2 + (1.3 * z) ** 2).sqrt()
    made = decoder(field, torch.tensor([-1.0, -1, -1]), torch.tensor([2.0, 2, 2]))
    mesh = trimesh.Trimesh(made.verts.numpy(), made.faces.numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.volume > 0
    radius = np.sqrt((mesh.vertices**2 * [1, 1, 1.69]).sum(1))
    assert np.abs(radius - 0.6).max() < 0.01


def test_a_random_field_is_closed_in_every_configuration():
    cases, masks = mesh_tables()
    assert masks[[0, 255]].sum() == 0
    assert (masks.sum(1)[1:255] > 0).all()
    assert cases.min() == 0 and cases.max() == 11
