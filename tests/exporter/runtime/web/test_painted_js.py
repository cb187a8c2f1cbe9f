"""A mesh with a colour a triangle: vertices are split no more than its colours ask for."""

from __future__ import annotations

from tests.node import run_node

SCRIPT = """
import { painted } from "./painted.js";
const { sources, faces, uv, picture } = painted({
  faces: Uint32Array.from(given.faces), colors: Float32Array.from(given.colors.flat()),
});
const { width, height, data } = picture;
tell({ sources, faces: [...faces], uv: [...uv], width, height, data: [...data] });
"""
SQUARE = [0, 1, 2, 2, 1, 3]


def test_triangles_of_one_colour_share_their_vertices():
    found = run_node(SCRIPT, {"faces": SQUARE, "colors": [[1.2, 0.5, -0.1]] * 4})
    assert (found["sources"], found["faces"]) == ([0, 1, 2, 3], SQUARE)
    assert (found["width"], found["height"], found["data"]) == (1, 1, [255, 128, 0, 255])


def test_a_vertex_between_two_colours_is_there_twice():
    found = run_node(SCRIPT, {"faces": SQUARE, "colors": [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0.6, 0, 0]]})
    assert found["sources"] == [0, 1, 2, 2, 1, 3] and found["faces"] == [0, 1, 2, 3, 4, 5]
    assert (found["width"], found["height"]) == (2, 1)
    assert found["uv"] == [0.25, 0.5] * 3 + [0.75, 0.5] * 3
    assert found["data"] == [0, 0, 0, 255, 52, 0, 0, 255]
