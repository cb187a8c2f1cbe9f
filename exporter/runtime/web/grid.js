/** A signed field sampled on a lattice over [-1, 1]³, as exporter/runtime/surface/extract.py samples it. */

import { sampleNearSurface } from "./near_surface.js";
import { TANH } from "./squash.js";

/**
 * {values Float32Array [grid³], x slowest, points}: signed distances, and how many of them were asked.
 * `distances(points [P * 3])` gives [P]. `exact` asks for every point, otherwise for those near the surface.
 */
export async function sampleGrid(distances, grid, exact, squash = TANH) {
  const asked = (indices) => distances(latticePoints(indices, grid));
  if (exact) return { values: await asked(Uint32Array.from({ length: grid ** 3 }, (_, at) => at)), points: grid ** 3 };
  const { values, asked: known } = await sampleNearSurface(asked, grid, squash);
  return { values, points: known.reduce((sum, is) => sum + is, 0) };
}

/** Flat indices to points [P * 3], rounded as the reference rounds. */
function latticePoints(indices, grid) {
  const along = Float32Array.from({ length: grid }, (_, i) => Math.fround(Math.fround(i / (grid - 1)) * 2) - 1);
  const points = new Float32Array(indices.length * 3);
  for (let i = 0; i < indices.length; i++) {
    const row = Math.floor(indices[i] / grid);
    points[3 * i] = along[Math.floor(row / grid)];
    points[3 * i + 1] = along[row % grid];
    points[3 * i + 2] = along[indices[i] % grid];
  }
  return points;
}
