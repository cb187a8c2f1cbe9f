/** Naive surface nets (Gibson, "Constrained elastic surface nets", 1998): one vertex for each cell that is crossed. */

/**
 * The zero surface of signed distances [grid³], positive inside, closed at the border of [-1, 1]³: {vertices
 * Float32Array [V * 3], faces Uint32Array [F * 3], outward}. A vertex is the mean of its cell's edge crossings.
 */
export function surfaceNets(values, grid) {
  const side = grid + 2; // a border of outside all around
  const steps = [side * side, side, 1];
  const bordered = withBorder(values, grid, side);
  const vertices = [];
  const vertexOfCell = new Int32Array(side ** 3).fill(-1);
  const faces = [];
  for (let x = 0; x < side - 1; x++) {
    for (let y = 0; y < side - 1; y++) {
      for (let z = 0; z < side - 1; z++) {
        const cell = x * steps[0] + y * steps[1] + z;
        const middle = meanCrossing(bordered, cell, steps);
        if (!middle) continue;
        vertexOfCell[cell] = vertices.length / 3;
        [x, y, z].forEach((at, axis) => vertices.push((at + middle[axis] - 1) * (2 / (grid - 1)) - 1));
        addQuads(faces, bordered, vertexOfCell, cell, steps);
      }
    }
  }
  return { vertices: Float32Array.from(vertices), faces: Uint32Array.from(faces) };
}

function withBorder(values, grid, side) {
  const bordered = new Float32Array(side ** 3).fill(-1);
  for (let x = 0; x < grid; x++) {
    for (let y = 0; y < grid; y++) {
      const row = (x * grid + y) * grid;
      bordered.set(values.subarray(row, row + grid), ((x + 1) * side + y + 1) * side + 1);
    }
  }
  return bordered;
}

/** Where the surface crosses the twelve edges of a cell, on average, in cell units; null when it crosses none. */
function meanCrossing(bordered, cell, steps) {
  const sum = [0, 0, 0];
  let count = 0;
  for (let axis = 0; axis < 3; axis++) {
    const [u, v] = [(axis + 1) % 3, (axis + 2) % 3];
    for (let corner = 0; corner < 4; corner++) {
      const [atU, atV] = [corner & 1, corner >> 1];
      const from = cell + atU * steps[u] + atV * steps[v];
      const [start, end] = [bordered[from], bordered[from + steps[axis]]];
      if (start > 0 === end > 0) continue;
      sum[axis] += start / (start - end);
      sum[u] += atU;
      sum[v] += atV;
      count++;
    }
  }
  return count ? sum.map((total) => total / count) : null;
}

/** Two triangles for each crossed edge that starts at the cell's lowest corner, between the four cells around it. */
function addQuads(faces, bordered, vertexOfCell, cell, steps) {
  for (let axis = 0; axis < 3; axis++) {
    const [start, end] = [bordered[cell], bordered[cell + steps[axis]]];
    if (start > 0 === end > 0) continue;
    const [u, v] = [steps[(axis + 1) % 3], steps[(axis + 2) % 3]];
    const around = [cell, cell - u, cell - u - v, cell - v].map((at) => vertexOfCell[at]);
    const [a, b, c, d] = start > 0 ? around : around.reverse();
    faces.push(a, b, c, a, c, d);
  }
}
