"""The triangles of marching cubes for each of the 256 ways in which a cube's corners lie inside or outside;
`web/cube_table.js` is the same for JavaScript.

On each face the surface cuts off every run of inside corners by itself. That hangs on the face alone, so two cubes
that share it agree, and the surface is closed. Corner i lies at (i >> 2, i >> 1 & 1, i & 1). Edge 4 a + 2 u + v runs
along axis a, from the corner that has u and v along the two axes after a.
"""

from __future__ import annotations

from itertools import pairwise

AXES = range(3)
BIT = (4, 2, 1)
"""What a corner's number gains along each axis."""


def _edge_between(a: int, b: int) -> int:
    axis = BIT.index(a ^ b)
    u, v = (int(bool(a & b & BIT[(axis + after) % 3])) for after in (1, 2))
    return axis * 4 + u * 2 + v


def _faces() -> list[list[int]]:
    """The six faces, each as its four corners in turn, counterclockwise seen from outside."""
    faces = []
    for axis in AXES:
        u, v = BIT[(axis + 1) % 3], BIT[(axis + 2) % 3]
        around = [0, u, u | v, v]
        faces += [[corner | BIT[axis] for corner in around], around[::-1]]
    return faces


FACES = _faces()
FACES_OF_EDGE = [
    {number for number, face in enumerate(FACES) if edge in {_edge_between(face[i], face[i - 1]) for i in range(4)}}
    for edge in range(12)
]


def _polygons(inside: int) -> list[list[int]]:
    """The closed lines, as lists of edges, in which the surface cuts the faces of the cube."""
    following: dict[int, int] = {}
    for face in FACES:
        is_inside = [bool(inside >> corner & 1) for corner in face]
        edges = [_edge_between(face[i], face[(i + 1) % 4]) for i in range(4)]
        for entry in range(4):
            if is_inside[entry] or not is_inside[(entry + 1) % 4]:
                continue
            leave = entry + 1
            while is_inside[(leave + 1) % 4]:
                leave += 1
            following[edges[entry]] = edges[leave % 4]
    polygons = []
    while following:
        polygon, edge = [], next(iter(following))
        while edge in following:
            polygon.append(edge)
            edge = following.pop(edge)
        polygons.append(polygon)
    return polygons


def _triangulated(polygon: list[int]) -> list[int]:
    """A fan from the corner none of whose diagonals lies in a face, where the next cube could have the same one."""
    turns = (polygon[start:] + polygon[:start] for start in range(len(polygon)))
    first, *rest = next(
        turn for turn in turns if not any(FACES_OF_EDGE[turn[0]] & FACES_OF_EDGE[to] for to in turn[2:-1])
    )
    return [edge for second, third in pairwise(rest) for edge in (first, second, third)]


TRIANGLES = [[edge for polygon in _polygons(inside) for edge in _triangulated(polygon)] for inside in range(256)]
"""For each set of inside corners, as bits, the edges that the corners of its triangles lie on, three by three."""
