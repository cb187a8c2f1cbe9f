/** Marching cubes (Lorensen and Cline, 1987), its table computed rather than written down. */

import { EDGES, TRIANGLES } from "./cube_table.js";

// Samples exactly on the surface would make degenerate triangles.
const OFF_SURFACE = 1e-5;

/**
 * The zero surface of signed distances [grid³], positive inside, closed at the border of [-1, 1]³: {vertices
 * Float32Array [V * 3], faces Uint32Array [F * 3], outward}. A vertex lies where an edge of the lattice is crossed, so
 * the vertices are those of exporter/runtime/surface/extract.py.
 */
export function marchingCubes(values, grid) {
  const side = grid + 2; // a border of outside all around
  const bordered = withBorder(values, grid, side);
  const corner = ([x, y, z]) => (x * side + y) * side + z;
  const edges = EDGES.map(({ from, axis }) => ({ from: corner(from), axis, step: side ** (2 - axis) }));
  const corners = [...Array(8).keys()].map((i) => corner([i >> 2, (i >> 1) & 1, i & 1]));
  const vertices = [];
  const vertexOfEdge = new Map();

  const vertex = (cell, { from, axis, step }) => {
    const at = cell + from;
    const key = 3 * at + axis;
    if (!vertexOfEdge.has(key)) {
      vertexOfEdge.set(key, vertices.length / 3);
      const place = [Math.floor(at / side ** 2), Math.floor(at / side) % side, at % side];
      place[axis] += bordered[at] / (bordered[at] - bordered[at + step]);
      vertices.push(...place.map((i) => (i - 1) * (2 / (grid - 1)) - 1));
    }
    return vertexOfEdge.get(key);
  };

  const faces = [];
  for (let x = 0; x < side - 1; x++) {
    for (let y = 0; y < side - 1; y++) {
      for (let z = 0; z < side - 1; z++) {
        const cell = (x * side + y) * side + z;
        let inside = 0;
        for (let i = 0; i < 8; i++) if (bordered[cell + corners[i]] > 0) inside |= 1 << i;
        if (inside === 0 || inside === 255) continue;
        for (const edge of TRIANGLES[inside]) faces.push(vertex(cell, edges[edge]));
      }
    }
  }
  return { vertices: Float32Array.from(vertices), faces: Uint32Array.from(faces) };
}

function withBorder(values, grid, side) {
  const bordered = new Float32Array(side ** 3).fill(-1);
  for (let x = 0, from = 0; x < grid; x++) {
    for (let y = 0; y < grid; y++) {
      for (let z = 0, to = ((x + 1) * side + y + 1) * side + 1; z < grid; z++, from++, to++) {
        const value = values[from];
        bordered[to] = value > 0 ? Math.max(value, OFF_SURFACE) : Math.min(value, -OFF_SURFACE);
      }
    }
  }
  return bordered;
}
