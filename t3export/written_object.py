"""One object of `t3export run`: its files, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporter.files.atomic import write_atomically
from exporter.pipeline.assets import ImageAsset, MeshAsset, PointsAsset
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.meshfile import metres_per_unit, save_mesh
from exporter.runtime.assets.pictures import mesh_picture, picture_of, png, points_picture, turntable_gif
from exporter.runtime.assets.placing import Up
from exporter.runtime.assets.pointfile import save_points
from exporter.runtime.assets.points import PointCloud
from exporter.runtime.assets.postprocess import Cleaning, Dressing, clean, dress
from exporter.runtime.assets.solid.dimensions import dimensions
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import field_of
from t3export.output import results

TURNTABLE_PIXELS = 256
# Of a mesh whose pipeline makes no image.
PICTURE_PIXELS = 128


@dataclass(frozen=True)
class MeshFileWanted:
    """What becomes of a mesh on its way to its file.

    size: the longest side of the object in metres; up: the axis that points up in the file; compress: in few bytes.
    """

    cleaning: Cleaning
    dressing: Dressing
    size: float | None
    up: Up | None
    compress: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is made of each object: the grid of its mesh, the mesh file, the pixels of its pictures."""

    grid: int | None
    exact: bool | None
    mesh_file: MeshFileWanted
    pixels: int | None


@dataclass(frozen=True)
class ObjectPaths:
    """Where the files of one object go; None where one is not wanted."""

    mesh: Path | None
    turntable: Path | None
    image: Path | None
    points: Path | None = None


def write_object(bundle: Bundle, run: Run, paths: ObjectPaths, wanted: Wanted, label: Label) -> dict[str, Any]:
    """Writes what is wanted of one object and gives its record; of an empty field only a picture that is no mesh's."""
    pipeline = bundle.pipeline
    if pipeline.asset(MeshAsset) is None and pipeline.asset(PointsAsset):
        return _write_cloud(bundle.points(run), replace(paths, points=paths.points or paths.mesh), wanted, label)
    if paths.points:
        of_points = _write_cloud(bundle.points(run), ObjectPaths(None, None, None, paths.points), wanted, label)
        if not (paths.mesh or paths.turntable or paths.image):
            return of_points
        of_others = write_object(bundle, run, replace(paths, points=None), wanted, label)
        return of_points | of_others | {"files": of_points["files"] + of_others["files"]}
    own_picture = paths.image is not None and pipeline.asset(ImageAsset) is not None
    written = []
    if paths.image and own_picture:
        write_atomically(paths.image, png(picture_of(run, wanted.pixels)))
        written.append(paths.image)
    if not paths.mesh and not paths.turntable and (own_picture or not paths.image):
        return {"empty": False, "files": [str(path) for path in written]}
    record: dict[str, Any] = {}
    mesh = bundle.mesh(run, wanted.grid, wanted.exact, lambda sampling: record.update(sampled=sampling.to_dict()))
    record |= {"empty": mesh.is_empty, "vertices": len(mesh.vertices), "triangles": len(mesh.faces)}
    if not mesh.is_empty:
        mesh, done = clean(mesh, wanted.mesh_file.cleaning)
        record |= done
        if paths.mesh:
            files, told = _write_mesh(run, mesh, paths.mesh, wanted.mesh_file, label)
            record |= told
            written += files
        if paths.turntable:
            write_atomically(paths.turntable, turntable_gif(mesh, wanted.pixels or TURNTABLE_PIXELS))
            written.append(paths.turntable)
        if paths.image and not own_picture:
            write_atomically(paths.image, png(mesh_picture(mesh, wanted.pixels or PICTURE_PIXELS)))
            written.append(paths.image)
    return record | {"files": [str(path) for path in written]}


def _write_cloud(cloud: PointCloud, paths: ObjectPaths, wanted: Wanted, label: Label) -> dict[str, Any]:
    """Writes points and their pictures and gives their record."""
    if paths.points:
        save_points(cloud, paths.points, label, wanted.mesh_file.size, wanted.mesh_file.up)
    if paths.turntable:
        write_atomically(paths.turntable, turntable_gif(cloud, wanted.pixels or TURNTABLE_PIXELS))
    if paths.image:
        write_atomically(paths.image, png(points_picture(cloud, wanted.pixels or PICTURE_PIXELS)))
    files = [str(path) for path in (paths.points, paths.turntable, paths.image) if path]
    return {"empty": False, "points": len(cloud.positions), "files": files}


def print_record(record: dict[str, Any]) -> None:
    """The record of an object for people: its files, its mesh and what they cost."""
    counts = f"{record['vertices']} vertices, {record['triangles']} triangles, " if "vertices" in record else ""
    counts += f"{record['points']} points, " if "points" in record else ""
    if sampled := record.get("sampled"):
        counts += f"{sampled['share']:.1%} of {sampled['grid']}³ points asked, "
    lines = [f"{', '.join(record['files'])}  ({counts}{record['seconds']:.1f} s)"]
    if "closed" in record:
        lines.append(f"  {_shape(record)}")
    if texture := record.get("texture"):
        detail = f", of {texture['of_triangles']} triangles by a normal map" if texture["normal_map"] else ""
        lines.append(
            f"  texture {texture['size']}²: {texture['charts']} charts{detail}; {texture['seconds']:.1f} s, and "
            f"{texture['field_seconds']:.1f} s for {texture['field_points']} colours of the field"
        )
    for line in lines:
        results().print(line, markup=False, soft_wrap=True)


def _shape(record: dict[str, Any]) -> str:
    edges = "closed" if record["closed"] else f"{record['open_edges']} open edges"
    if record["crowded_edges"]:
        edges += f", {record['crowded_edges']} edges with more than two triangles"
    if closing := record.get("watertight"):
        edges += f" ({closing['holes']} holes filled, {closing['crowded_edges']} edges taken apart)"
    parts = f"{record['components']} component{'s' * (record['components'] != 1)}"
    if "dropped_parts" in record:
        parts += f" ({record['dropped_parts']} dropped)"
    genus = "" if record["genus"] is None else f", genus {record['genus']}"
    sides = " x ".join(f"{side:.4g}" for side in record["size_mm"])
    return f"{edges}, {parts}{genus}, {record['volume_cm3']:.4g} cm³, {sides} mm"


def _write_mesh(
    run: Run, mesh: Mesh, path: Path, wanted: MeshFileWanted, label: Label
) -> tuple[list[Path], dict[str, Any]]:
    dressed = dress(mesh, field_of(run).color, wanted.dressing)
    files = save_mesh(dressed.mesh, path, dressed.texture, label, wanted.size, wanted.up, wanted.compress)
    scale = metres_per_unit(path, dressed.mesh, wanted.size)
    return files, dressed.to_dict() | dimensions(dressed.mesh, scale)
