"""What `Bundle.generate` gives of one prompt: an object that is looked at, saved, and shown in a notebook."""

from __future__ import annotations

import base64
import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from exporter.errors import EmptyMesh, RecipeError
from exporter.files.atomic import write_atomically
from exporter.pipeline.assets import ImageAsset, PointsAsset
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.pictures import mesh_picture, picture_of, png, points_picture, turntable_gif
from exporter.runtime.assets.points import PointCloud, points_of
from exporter.runtime.run import Run

if TYPE_CHECKING:
    from exporter.runtime.assets.placing import Up

# Of a mesh or points whose pipeline makes no image.
PICTURE_PIXELS = 256


class GeneratedObject:
    """One object of a bundle, from a prompt (or a picture) and the seed of its noise.

    >>> ball = bundle.generate("a red ball", seed=3)
    >>> ball
    <GeneratedObject 'a red ball', seed 3: 672 vertices, 1,340 triangles>
    >>> [path.name for path in ball.save("ball.glb")]
    ['ball.glb']
    >>> ball.mesh.vertices.shape, ball.picture.dtype
    ((672, 3), dtype('uint8'))

    In a notebook it shows its picture. `run` has every tensor that was made on the way, by name.
    """

    def __init__(self, run: Run, label: Label, mesh: Mesh | None = None) -> None:
        self.run = run
        self.label = label
        self._mesh = mesh

    @property
    def prompt(self) -> str:
        """What it was made from: the prompt, or the path of a picture."""
        return self.label.prompt

    @property
    def seed(self) -> int:
        """What its noise was drawn from."""
        return self.label.seed

    @property
    def mesh(self) -> Mesh:
        """Its mesh: `vertices` float32 [V, 3], `faces` int32 [F, 3], `colors` float32 [V, 3] in sRGB from 0 to 1.

        Raises RecipeError for a model that makes none.
        """
        if self._mesh is None:
            raise RecipeError(f"this model makes no mesh; it makes {', '.join(self.run.pipeline.assets)}")
        return self._mesh

    @cached_property
    def points(self) -> PointCloud:
        """Its points: `positions` and `colors`, both float32 [P, 3]. Raises RecipeError for a model that makes none."""
        return points_of(self.run)

    @cached_property
    def picture(self) -> np.ndarray:
        """A picture of it, uint8 [height, width, 3]: the model's own, or else one of its mesh or points."""
        if self.run.pipeline.asset(ImageAsset):
            return picture_of(self.run)
        if self._mesh:
            return mesh_picture(self._mesh, PICTURE_PIXELS)
        return points_picture(self.points, PICTURE_PIXELS)

    @property
    def is_empty(self) -> bool:
        """Whether there is no surface: another seed or another wording may have one."""
        return self._mesh is not None and self._mesh.is_empty

    @property
    def vertices(self) -> np.ndarray:
        """Those of the mesh."""
        return self.mesh.vertices

    @property
    def faces(self) -> np.ndarray:
        """Those of the mesh."""
        return self.mesh.faces

    @property
    def colors(self) -> np.ndarray:
        """Those of the mesh's vertices."""
        return self.mesh.colors

    def save(
        self,
        path: str | Path,
        *,
        texture: bool | int = True,
        triangles: int | None = None,
        watertight: bool = False,
        drop_parts: float = 0.0,
        size: float | None = None,
        up: Up | None = None,
        compress: bool = False,
    ) -> list[Path]:
        """Writes it as the suffix says, each file whole or not at all, and gives the files.

        A mesh as `t3export run -o` writes it: .glb, .gltf, .obj, .ply, .stl, .3mf, .usda, .usdz; points as .ply or
        .glb; .png is its picture, .gif a turntable. `texture`: in formats that carry one, where t3export[mesh] is
        installed; a number of pixels demands it, False leaves vertex colours. `triangles`: at most so many.
        `watertight` closes every hole, `drop_parts` leaves out parts with less than this share of the volume. `size`:
        the longest side in metres; `up`: another axis than the format's; `compress`: a .glb in fewer bytes, for readers
        that know EXT_meshopt_compression.

        Raises EmptyMesh where there is no surface, RecipeError for what the format or the model does not have,
        EnvironmentProblem where a package is missing or the disk is full.
        """
        files = self.encode(
            path,
            texture=texture,
            triangles=triangles,
            watertight=watertight,
            drop_parts=drop_parts,
            size=size,
            up=up,
            compress=compress,
        )
        for file, content in reversed(files.items()):
            write_atomically(file, content)
        return list(files)

    def encode(
        self,
        path: str | Path,
        *,
        texture: bool | int = True,
        triangles: int | None = None,
        watertight: bool = False,
        drop_parts: float = 0.0,
        size: float | None = None,
        up: Up | None = None,
        compress: bool = False,
    ) -> dict[Path, bytes]:
        """What `save` writes, by path, that of the suffix first; nothing is written. Raises as `save`."""
        path = Path(path)
        if self._mesh is None:
            pixels = texture if not isinstance(texture, bool) else None
            of_a_mesh = {"texture": pixels, "triangles": triangles, "watertight": watertight, "drop_parts": drop_parts}
            of_a_mesh |= {"compress": compress}
            if given := [name for name, value in of_a_mesh.items() if value]:
                made = ", ".join(self.run.pipeline.assets)
                raise RecipeError(f"{', '.join(given)}: for a mesh, and this model makes none; it makes {made}")
        if path.suffix.lower() == ".png":
            return {path: png(self.picture)}
        if self.is_empty:
            raise EmptyMesh(f"{self.prompt!r}, seed {self.seed}: the field is empty, there is no mesh to write")
        if path.suffix.lower() == ".gif":
            return {path: turntable_gif(self._mesh or self.points)}
        # Writers of meshes take a while to import, and memory.
        if self._mesh is None:
            from exporter.runtime.assets.pointfile import points_file

            return {path: points_file(self.points, path, self.label, size, up)}
        from exporter.runtime.assets.meshfile import chosen_writer, mesh_files
        from exporter.runtime.assets.postprocess import Cleaning, chosen_dressing, clean, dress, require_packages
        from exporter.runtime.surface.decoded import field_of

        chosen_writer(path, compress)
        cleaning, dressing = Cleaning(drop_parts, watertight), chosen_dressing(path, texture, triangles)
        require_packages(cleaning, dressing)
        cleaned, _ = clean(self._mesh, cleaning)
        dressed = dress(cleaned, field_of(self.run).color, dressing)
        return mesh_files(dressed.mesh, path, dressed.texture, self.label, size, up, compress)

    def show(self) -> None:
        """Shows it in a notebook; elsewhere its picture, by the system's viewer."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            notebook = None
        else:
            notebook = get_ipython()
        if notebook is None:
            Image.fromarray(self.picture).show(title=self.prompt)
        else:
            display(self)

    def _repr_html_(self) -> str:
        data = base64.b64encode(png(self.picture)).decode()
        return (
            f'<figure style="margin:0"><img src="data:image/png;base64,{data}" alt="{html.escape(self.prompt)}">'
            f"<figcaption>{html.escape(self._told())}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        return f"<GeneratedObject {self._told()}>"

    def _told(self) -> str:
        """What it was made from, and what it is."""
        if self._mesh is not None:
            what = f"{len(self._mesh.vertices):,} vertices, {len(self._mesh.faces):,} triangles"
        elif self.run.pipeline.asset(PointsAsset):
            what = f"{len(self.points.positions):,} points"
        else:
            height, width = self.picture.shape[:2]
            what = f"{width} x {height} pixels"
        return f"{self.prompt!r}, seed {self.seed}: {what}"
