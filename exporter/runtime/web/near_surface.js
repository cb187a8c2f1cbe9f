/** Which points of a lattice have to be asked for its surface: exporter/runtime/near_surface.py, which says why. */

const COARSE_BLOCKS = 32;
const SAFETY = 1.25;
const REACH = (3 + 3 * Math.sqrt(2) + Math.sqrt(3)) / 8;
const SATURATED = Math.tanh(3.5);
const AXES = [0, 1, 2];

/** Cells along a coarse block: the power of two that makes about 32 blocks of the volume, at least 2. */
export function coarseStride(grid) {
  return Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, Math.floor(grid / COARSE_BLOCKS)))));
}

/**
 * {values Float32Array [grid³], asked Uint8Array [grid³]}, x slowest: signed distances, and which of them were asked;
 * the others have the sign of a coarser sample beside them. `distance` takes flat lattice indices [P], gives [P].
 */
export async function sampleNearSurface(distance, grid) {
  let stride = coarseStride(grid);
  let level = new Level(grid, stride);
  let blocks = new Uint8Array((level.side - 1) ** 3).fill(1);
  await level.ask(distance, level.asked.map(() => 1));
  while (stride > 1) {
    blocks = mayCross(level, blocks);
    stride /= 2;
    const finer = new Level(grid, stride);
    blocks = finer.takeOver(level, blocks);
    level = finer;
    await level.ask(distance, corners(blocks, level.side));
  }
  for (let wanted = crossedAndNotAsked(level); wanted; wanted = crossedAndNotAsked(level)) {
    await level.ask(distance, wanted);
  }
  return { values: level.values, asked: level.asked };
}

/** Samples `stride` cells apart along each edge, but for the last: their values, and which of them were asked. */
class Level {
  constructor(grid, stride) {
    this.grid = grid;
    this.side = Math.ceil((grid - 1) / stride) + 1;
    this.lattice = Array.from({ length: this.side }, (_, i) => Math.min(i * stride, grid - 1));
    this.values = new Float32Array(this.side ** 3);
    this.asked = new Uint8Array(this.side ** 3);
  }

  /** Asks the wanted samples that were not asked before. */
  async ask(distance, wanted) {
    const places = [];
    wanted.forEach((is, at) => is && !this.asked[at] && places.push(at));
    if (!places.length) return;
    const found = await distance(Uint32Array.from(places, (at) => this.flat(at)));
    places.forEach((at, i) => {
      this.values[at] = found[i];
      this.asked[at] = 1;
    });
  }

  /** The flat index on the finest lattice. */
  flat(at) {
    const [x, y, z] = place(at, this.side).map((i) => this.lattice[i]);
    return (x * this.grid + y) * this.grid + z;
  }

  /** Takes the samples of a level half as fine, new ones the value of the one before; the blocks, each in eight. */
  takeOver(coarse, blocks) {
    const { side, values, asked } = this;
    const isLast = (i) => i === side - 1;
    const before = Array.from({ length: side }, (_, i) => (isLast(i) ? coarse.side - 1 : i >> 1));
    const same = before.map((_, i) => isLast(i) || i % 2 === 0);
    cells(side, (x, y, z, at) => {
      const from = (before[x] * coarse.side + before[y]) * coarse.side + before[z];
      values[at] = coarse.values[from];
      asked[at] = same[x] && same[y] && same[z] && coarse.asked[from];
    });
    const parent = coarse.side - 1;
    return cells(side - 1, (x, y, z) => blocks[((x >> 1) * parent + (y >> 1)) * parent + (z >> 1)]);
  }
}

/** Those of the blocks that hold a change of sign, at the border a positive sample, or too little distance. */
function mayCross(level, blocks) {
  const side = level.side - 1;
  const widths = level.lattice.slice(1).map((to, i) => ((to - level.lattice[i]) * 2) / (level.grid - 1));
  const raw = Float64Array.from(level.values, (value) =>
    Math.atanh(Math.min(SATURATED, Math.max(-SATURATED, value))),
  );
  const inside = Uint8Array.from(level.values, (value) => Number(value > 0));
  const around = (x, y, z) => cornersOf(x, y, z, level.side);
  const crossed = cells(side, (x, y, z, at) => {
    if (!blocks[at]) return 0;
    const positive = countCorners(inside, x, y, z, level.side);
    const border = [x, y, z].some((i) => i === 0 || i === side - 1);
    return positive > 0 && (positive < 8 || border);
  });
  const slopes = new Float64Array(side ** 3);
  cells(side, (x, y, z, at) => blocks[at] && (slopes[at] = steepest(raw, around(x, y, z), [x, y, z], widths)));
  const means = new Float64Array(side ** 3).fill(Infinity);
  const mean = (x, y, z) => around(x, y, z).reduce((sum, corner) => sum + Math.abs(raw[corner]), 0) / 8;
  cells(side, (x, y, z, at) => blocks[at] && (means[at] = mean(x, y, z)));
  const nearest = means.reduce((least, value) => Math.min(least, value), Infinity);
  const anywhere = crossed.includes(1);
  const usual = median(slopes.filter((_, at) => (anywhere ? crossed[at] : blocks[at] && means[at] === nearest)));
  const steepestNear = mostAround(slopes, side);
  return cells(side, (x, y, z, at) => {
    if (!blocks[at] || crossed[at]) return crossed[at];
    return means[at] < REACH * widths[0] * SAFETY * Math.max(usual, steepestNear[at]);
  });
}

/** Samples of all cells that show a change of sign, and of their neighbours, where one was not asked; or null. */
function crossedAndNotAsked({ grid, values, asked }) {
  const side = grid + 2; // a border of outside, known, all around
  const positive = new Uint8Array(side ** 3);
  const known = new Uint8Array(side ** 3).fill(1);
  cells(grid, (x, y, z, at) => {
    const there = ((x + 1) * side + y + 1) * side + z + 1;
    positive[there] = values[at] > 0;
    known[there] = asked[at];
  });
  const unknown = cells(side - 1, (x, y, z) => {
    const inside = countCorners(positive, x, y, z, side);
    return inside > 0 && inside < 8 && countCorners(known, x, y, z, side) < 8;
  });
  if (!unknown.includes(1)) return null;
  const padded = corners(mostAround(unknown, side - 1), side);
  return cells(grid, (x, y, z) => padded[((x + 1) * side + y + 1) * side + z + 1]);
}

/** How many of the eight corners of a block are marked. */
function countCorners(marked, x, y, z, side) {
  const at = (x * side + y) * side + z;
  const [step, plane] = [at + side, at + side * side];
  const near = marked[at] + marked[at + 1] + marked[step] + marked[step + 1];
  return near + marked[plane] + marked[plane + 1] + marked[plane + side] + marked[plane + side + 1];
}

/** The slope that the steepest edges of a block along each axis make together; `corner` as cornersOf gives them. */
function steepest(raw, corner, block, widths) {
  let squares = 0;
  for (const axis of AXES) {
    const step = 4 >> axis;
    let most = 0;
    for (let i = 0; i < 8; i++) {
      if (!(i & step)) most = Math.max(most, Math.abs(raw[corner[i + step]] - raw[corner[i]]));
    }
    squares += (most / widths[block[axis]]) ** 2;
  }
  return Math.sqrt(squares);
}

function median(values) {
  if (!values.length) return 0;
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Samples [side³] at the corners of marked blocks. */
function corners(blocks, side) {
  const marked = new Uint8Array(side ** 3);
  cells(side - 1, (x, y, z, at) => {
    if (blocks[at]) for (const corner of cornersOf(x, y, z, side)) marked[corner] = 1;
  });
  return marked;
}

/** Flat indices of the eight corners of a block, x slowest. */
function cornersOf(x, y, z, side) {
  const at = (x * side + y) * side + z;
  const [step, plane] = [at + side, at + side * side];
  return [at, at + 1, step, step + 1, plane, plane + 1, plane + side, plane + side + 1];
}

/** Of every block, the largest value of its own and its 26 neighbours'. */
function mostAround(values, side) {
  return [side * side, side, 1].reduce((along, step) => {
    const most = along.slice();
    for (let at = 0; at < most.length; at++) {
      const i = Math.floor(at / step) % side;
      if (i > 0 && along[at - step] > most[at]) most[at] = along[at - step];
      if (i < side - 1 && along[at + step] > most[at]) most[at] = along[at + step];
    }
    return most;
  }, values);
}

/** A Uint8Array [side³] of what `test(x, y, z, at)` tells of every block. */
function cells(side, test) {
  const told = new Uint8Array(side ** 3);
  for (let x = 0, at = 0; x < side; x++) {
    for (let y = 0; y < side; y++) for (let z = 0; z < side; z++, at++) told[at] = Number(test(x, y, z, at));
  }
  return told;
}

function place(at, side) {
  return [Math.floor(at / side ** 2), Math.floor(at / side) % side, at % side];
}
