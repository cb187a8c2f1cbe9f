/** Which points of a lattice have to be asked for its surface: exporter/runtime/surface/near_surface.py, which says why. */

import { clearedWithMiddle, notClearedByCorners } from "./clearance.js";
import { cells, corners, countCorners, Level, mostAround } from "./lattice.js";
import { TANH } from "./squash.js";

const COARSE_BLOCKS = 32;

/** Cells along a coarse block: the power of two that makes about 32 blocks of the volume, at least 2. */
export function coarseStride(grid) {
  return Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, Math.floor(grid / COARSE_BLOCKS)))));
}

/**
 * {values Float32Array [grid³], asked Uint8Array [grid³]}, x slowest: signed distances, and which of them were asked;
 * the others have the sign of a coarser sample beside them. `distance` takes flat lattice indices [P],
 * gives [P] that went through `squash`.
 */
export async function sampleNearSurface(distance, grid, squash = TANH) {
  let stride = coarseStride(grid);
  let level = new Level(grid, stride);
  let blocks = new Uint8Array((level.side - 1) ** 3).fill(1);
  await level.ask(distance, level.asked.map(() => 1));
  while (stride > 1) {
    const refined = crossed(level, blocks);
    const changes = notClearedByCorners(level, blocks, refined, squash);
    stride /= 2;
    const finer = new Level(grid, stride);
    finer.takeOver(level);
    await finer.ask(distance, finer.middles(changes.keys()));
    for (const [at, change] of changes) refined[at] = Number(!clearedWithMiddle(finer, at, change, squash));
    blocks = finer.inEight(refined);
    level = finer;
    await level.ask(distance, corners(blocks, level.side));
  }
  for (let wanted = crossedAndNotAsked(level); wanted; wanted = crossedAndNotAsked(level)) {
    await level.ask(distance, wanted);
  }
  return { values: level.values, asked: level.asked };
}

/** Those of the blocks that hold a change of sign, at the border a positive sample. */
function crossed(level, blocks) {
  const side = level.side - 1;
  const inside = Uint8Array.from(level.values, (value) => Number(value > 0));
  return cells(side, (x, y, z, at) => {
    if (!blocks[at]) return 0;
    const positive = countCorners(inside, x, y, z, level.side);
    return positive > 0 && (positive < 8 || [x, y, z].some((i) => i === 0 || i === side - 1));
  });
}

/** Samples of all cells that show a change of sign, and of their neighbours, where one was not asked; or null. */
function crossedAndNotAsked({ grid, values, asked }) {
  const side = grid + 2; // a border of outside, known, all around
  const positive = new Uint8Array(side ** 3);
  const known = new Uint8Array(side ** 3).fill(1);
  for (let x = 0, from = 0; x < grid; x++) {
    for (let y = 0; y < grid; y++) {
      for (let z = 0, to = ((x + 1) * side + y + 1) * side + 1; z < grid; z++, from++, to++) {
        positive[to] = values[from] > 0;
        known[to] = asked[from];
      }
    }
  }
  const unknown = cells(side - 1, (x, y, z) => {
    const inside = countCorners(positive, x, y, z, side);
    return inside > 0 && inside < 8 && countCorners(known, x, y, z, side) < 8;
  });
  if (!unknown.includes(1)) return null;
  const padded = corners(mostAround(unknown, side - 1), side);
  return cells(grid, (x, y, z) => padded[((x + 1) * side + y + 1) * side + z + 1]);
}
