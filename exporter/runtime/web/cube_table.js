/**
 * The triangles of marching cubes for each of the 256 ways in which a cube's corners lie inside or outside.
 *
 * On each face the surface cuts off every run of inside corners by itself. That hangs on the face alone, so two cubes
 * that share it agree, and the surface is closed. Corner i lies at (i >> 2, i >> 1 & 1, i & 1).
 */

/** The twelve edges of the cube: {from: the corner [x, y, z] of the lower end, axis}. */
export const EDGES = [0, 1, 2].flatMap((axis) =>
  [0, 1].flatMap((u) =>
    [0, 1].map((v) => {
      const from = [0, 0, 0];
      from[(axis + 1) % 3] = u;
      from[(axis + 2) % 3] = v;
      return { from, axis };
    }),
  ),
);

/** The six faces, each as its four corners in turn, counterclockwise seen from outside. */
const FACES = [0, 1, 2].flatMap((axis) => {
  const [u, v] = [(axis + 1) % 3, (axis + 2) % 3].map((other) => 4 >> other);
  const around = [0, u, u | v, v];
  return [around.map((corner) => corner | (4 >> axis)), [...around].reverse()];
});

const FACES_OF_EDGE = EDGES.map((_, edge) =>
  FACES.filter((face) => face.some((corner, i) => edgeBetween(corner, face[(i + 1) % 4]) === edge)),
);

/** For each set of inside corners, as bits, the edges that the corners of its triangles lie on, three by three. */
export const TRIANGLES = [...Array(256).keys()].map((inside) => polygons(inside).flatMap(triangulated));

/** The closed lines, as lists of edges, in which the surface cuts the faces of the cube. */
function polygons(inside) {
  const next = new Map();
  for (const face of FACES) {
    const is = (i) => (inside >> face[i % 4]) & 1;
    const edge = (i) => edgeBetween(face[i % 4], face[(i + 1) % 4]);
    for (let entry = 0; entry < 4; entry++) {
      if (is(entry) || !is(entry + 1)) continue;
      let exit = entry + 1;
      while (is(exit + 1)) exit++;
      next.set(edge(entry), edge(exit));
    }
  }
  const found = [];
  while (next.size) {
    const polygon = [];
    for (let edge = next.keys().next().value; next.has(edge);) {
      polygon.push(edge);
      const following = next.get(edge);
      next.delete(edge);
      edge = following;
    }
    found.push(polygon);
  }
  return found;
}

/** A fan from the corner none of whose diagonals lies in a face, where the next cube could have the same one. */
function triangulated(polygon) {
  const inOneFace = (a, b) => FACES_OF_EDGE[a].some((face) => FACES_OF_EDGE[b].includes(face));
  const turned = polygon.map((_, start) => [...polygon.slice(start), ...polygon.slice(0, start)]);
  const [first, ...rest] = turned.find(([from, ...others]) => !others.slice(1, -1).some((to) => inOneFace(from, to)));
  return rest.slice(1).flatMap((edge, i) => [first, rest[i], edge]);
}

function edgeBetween(a, b) {
  const axis = [4, 2, 1].indexOf(a ^ b);
  const [u, v] = [(axis + 1) % 3, (axis + 2) % 3].map((other) => Number((a & b & (4 >> other)) !== 0));
  return axis * 4 + u * 2 + v;
}
