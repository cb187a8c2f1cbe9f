/** A signed field sampled on a lattice over [-1, 1]³, as exporter/runtime/extract.py samples it. */

const STRIDE = 4;

/**
 * Signed distances as a Float32Array [grid³], x slowest. `distances(points [P * 3])` gives [P]. `exact` asks for every
 * point; otherwise every fourth, then all points of the blocks that the surface crosses, of their neighbours, and of
 * wherever the surface leads from there; elsewhere stands the nearest coarse sample, which has the right sign.
 */
export async function sampleGrid(distances, grid, exact) {
  const all = [...Array(grid).keys()];
  return exact ? distances(latticePoints(product(all, grid), grid)) : coarseToFine(distances, grid);
}

async function coarseToFine(distances, grid) {
  const lattice = [...Array(Math.ceil(grid / STRIDE)).keys()].map((i) => i * STRIDE);
  if (lattice.at(-1) !== grid - 1) lattice.push(grid - 1);
  const indices = product(lattice, grid);
  const coarse = await distances(latticePoints(indices, grid));
  const values = spread(coarse, lattice, grid);
  const signs = new Int8Array(grid ** 3); // of the samples asked so far, 0 where not asked
  indices.forEach((at, i) => (signs[at] = coarse[i] > 0 ? 1 : -1));

  const blocks = new Blocks(lattice, grid);
  const done = new Uint8Array(blocks.count);
  let wanted = blocks.dilated(blocks.crossed(signs));
  while (wanted.includes(1)) {
    const asked = blocks.points(wanted);
    const found = await distances(latticePoints(asked, grid));
    asked.forEach((at, i) => {
      values[at] = found[i];
      signs[at] = found[i] > 0 ? 1 : -1;
    });
    wanted.forEach((is, block) => (done[block] |= is));
    wanted = blocks.crossed(signs).map((is, block) => is & ~done[block]);
  }
  return values;
}

/** The blocks of lattice points between coarse samples, far faces included. Masks are Uint8Arrays [count]. */
class Blocks {
  constructor(lattice, grid) {
    this.lattice = lattice;
    this.grid = grid;
    this.side = lattice.length - 1;
    this.count = this.side ** 3;
  }

  /** Blocks in which both signs are known, with the negative border counted in. */
  crossed(signs) {
    return this.mask((block) => {
      let positive = false;
      let negative = this.place(block).some((i) => i === 0 || i === this.side - 1);
      this.visit(block, (at) => {
        positive ||= signs[at] > 0;
        negative ||= signs[at] < 0;
      });
      return positive && negative;
    });
  }

  /** The blocks with all their neighbours, corners included. */
  dilated(blocks) {
    const near = (i) => [i - 1, i, i + 1].filter((j) => j >= 0 && j < this.side);
    return this.mask((block) => {
      const [x, y, z] = this.place(block).map(near);
      return x.some((i) => y.some((j) => z.some((k) => blocks[(i * this.side + j) * this.side + k])));
    });
  }

  /** Flat indices of all lattice points in blocks, ascending. */
  points(blocks) {
    const inside = new Uint8Array(this.grid ** 3);
    blocks.forEach((is, block) => is && this.visit(block, (at) => (inside[at] = 1)));
    const found = new Uint32Array(inside.reduce((sum, is) => sum + is, 0));
    let next = 0;
    inside.forEach((is, at) => is && (found[next++] = at));
    return found;
  }

  mask(test) {
    return Uint8Array.from({ length: this.count }, (_, block) => Number(test(block)));
  }

  place(block) {
    return [Math.floor(block / this.side ** 2), Math.floor(block / this.side) % this.side, block % this.side];
  }

  visit(block, told) {
    const { lattice, grid } = this;
    const [a, b, c] = this.place(block);
    for (let x = lattice[a]; x <= lattice[a + 1]; x++) {
      for (let y = lattice[b]; y <= lattice[b + 1]; y++) {
        for (let z = lattice[c]; z <= lattice[c + 1]; z++) told((x * grid + y) * grid + z);
      }
    }
  }
}

/** Flat indices of all points whose three coordinates are among `coordinates`, x slowest. */
function product(coordinates, grid) {
  const indices = new Uint32Array(coordinates.length ** 3);
  let next = 0;
  for (const x of coordinates)
    for (const y of coordinates) for (const z of coordinates) indices[next++] = (x * grid + y) * grid + z;
  return indices;
}

/** Flat indices to points [P * 3], rounded as the reference rounds. */
function latticePoints(indices, grid) {
  const along = Float32Array.from({ length: grid }, (_, i) => Math.fround(Math.fround(i / (grid - 1)) * 2) - 1);
  const points = new Float32Array(indices.length * 3);
  indices.forEach((at, i) => {
    points[3 * i] = along[Math.floor(at / grid ** 2)];
    points[3 * i + 1] = along[Math.floor(at / grid) % grid];
    points[3 * i + 2] = along[at % grid];
  });
  return points;
}

/** Coarse samples [lattice³] at every point of the grid: the nearest one, the lower of two. */
function spread(coarse, lattice, grid) {
  const nearest = Array.from({ length: grid }, (_, i) => {
    const away = lattice.map((j) => Math.abs(i - j));
    return away.indexOf(Math.min(...away));
  });
  const values = new Float32Array(grid ** 3);
  let next = 0;
  for (const x of nearest) {
    for (const y of nearest) {
      for (const z of nearest) values[next++] = coarse[(x * lattice.length + y) * lattice.length + z];
    }
  }
  return values;
}
