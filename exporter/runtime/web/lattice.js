/** Samples on a lattice, and the blocks between them: what is true of a block's corners, of its neighbours. */

/** Samples `stride` cells apart along each edge, but for the last: their values, and which of them were asked. */
export class Level {
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
    for (let at = 0; at < wanted.length; at++) if (wanted[at] && !this.asked[at]) places.push(at);
    if (!places.length) return;
    const found = await distance(Uint32Array.from(places, (at) => this.flat(at)));
    for (let i = 0; i < places.length; i++) {
      this.values[places[i]] = found[i];
      this.asked[places[i]] = 1;
    }
  }

  /** The flat index on the finest lattice. */
  flat(at) {
    const { grid, lattice, side } = this;
    const row = Math.floor(at / side);
    return (lattice[Math.floor(row / side)] * grid + lattice[row % side]) * grid + lattice[at % side];
  }

  /** Takes the samples of a level half as fine, new ones the value of the one before. */
  takeOver(coarse) {
    const { side, values, asked } = this;
    const isLast = (i) => i === side - 1;
    const before = Array.from({ length: side }, (_, i) => (isLast(i) ? coarse.side - 1 : i >> 1));
    const same = before.map((_, i) => isLast(i) || i % 2 === 0);
    for (let x = 0, at = 0; x < side; x++) {
      for (let y = 0; y < side; y++) {
        const row = (before[x] * coarse.side + before[y]) * coarse.side;
        const isSameRow = same[x] && same[y];
        for (let z = 0; z < side; z++, at++) {
          values[at] = coarse.values[row + before[z]];
          if (isSameRow && same[z]) asked[at] = coarse.asked[row + before[z]];
        }
      }
    }
  }

  /** Cells along a block of the level half as fine. */
  get parents() {
    return Math.ceil((this.side - 1) / 2);
  }

  /** Flat index of the sample some half widths into a block of the level half as fine; none lies past the lattice. */
  sampleIn(block, place) {
    const { side } = this;
    const along = (axis) => Math.min(2 * block[axis] + place[axis], side - 1);
    return (along(0) * side + along(1)) * side + along(2);
  }

  /** Marked: the samples in the middle of blocks of the level half as fine. */
  middles(blocks) {
    const marked = new Uint8Array(this.side ** 3);
    for (const at of blocks) marked[this.sampleIn(place(at, this.parents), [1, 1, 1])] = 1;
    return marked;
  }

  /** Blocks of the level half as fine, each as the eight of this one. */
  inEight(blocks) {
    const { parents } = this;
    return cells(this.side - 1, (x, y, z) => blocks[((x >> 1) * parents + (y >> 1)) * parents + (z >> 1)]);
  }
}

/** How many of the eight corners of a block are marked. */
export function countCorners(marked, x, y, z, side) {
  const at = (x * side + y) * side + z;
  const [step, plane] = [at + side, at + side * side];
  const near = marked[at] + marked[at + 1] + marked[step] + marked[step + 1];
  return near + marked[plane] + marked[plane + 1] + marked[plane + side] + marked[plane + side + 1];
}

/** Samples [side³] at the corners of marked blocks. */
export function corners(blocks, side) {
  const marked = new Uint8Array(side ** 3);
  const [plane, row] = [side * side, side];
  for (let x = 0, block = 0; x < side - 1; x++) {
    for (let y = 0; y < side - 1; y++) {
      for (let z = 0, at = (x * side + y) * side; z < side - 1; z++, at++, block++) {
        if (!blocks[block]) continue;
        for (const first of [at, at + row, at + plane, at + plane + row]) marked[first] = marked[first + 1] = 1;
      }
    }
  }
  return marked;
}

/** Flat indices of the eight corners of a block, x slowest. */
export function cornersOf(x, y, z, side) {
  const at = (x * side + y) * side + z;
  const [step, plane] = [at + side, at + side * side];
  return [at, at + 1, step, step + 1, plane, plane + 1, plane + side, plane + side + 1];
}

/** Of every block, the largest value of its own and its 26 neighbours'. */
export function mostAround(values, side) {
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
export function cells(side, test) {
  const told = new Uint8Array(side ** 3);
  for (let x = 0, at = 0; x < side; x++) {
    for (let y = 0; y < side; y++) for (let z = 0; z < side; z++, at++) told[at] = Number(test(x, y, z, at));
  }
  return told;
}

export function place(at, side) {
  return [Math.floor(at / side ** 2), Math.floor(at / side) % side, at % side];
}
