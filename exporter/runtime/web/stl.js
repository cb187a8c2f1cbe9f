/** A mesh as a binary STL file, which has triangles and no colours: z up, in millimetres, as exporter/runtime/assets writes it. */

const HEADER = 80;
const TRIANGLE = 50;
const PRINTED = 100;

/** {vertices, faces} as the bytes of an .stl whose longest side is `size` mm. Throws RangeError for an empty mesh. */
export function toStl({ vertices, faces }, size = PRINTED) {
  if (!faces.length) throw new RangeError("the mesh is empty: try another seed or another wording");
  const count = faces.length / 3;
  const bytes = new Uint8Array(HEADER + 4 + TRIANGLE * count);
  const view = new DataView(bytes.buffer);
  view.setUint32(HEADER, count, true);
  const scale = size / longestSide(vertices, faces);
  for (let face = 0; face < count; face++) {
    const corners = [0, 1, 2].map((i) => {
      const at = 3 * faces[3 * face + i];
      return [0, 1, 2].map((axis) => vertices[at + axis] * scale);
    });
    const at = HEADER + 4 + TRIANGLE * face;
    [normal(corners), ...corners].flat().forEach((value, i) => view.setFloat32(at + 4 * i, value, true));
  }
  return bytes;
}

function longestSide(vertices, faces) {
  const [low, high] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
  for (const vertex of faces) {
    for (let axis = 0; axis < 3; axis++) {
      const value = vertices[3 * vertex + axis];
      low[axis] = Math.min(low[axis], value);
      high[axis] = Math.max(high[axis], value);
    }
  }
  return Math.max(...high.map((value, axis) => value - low[axis]));
}

/** Unit normal of a triangle, zero where it has no area. */
function normal([a, b, c]) {
  const [u, v] = [b, c].map((to) => to.map((value, i) => value - a[i]));
  const cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const length = Math.hypot(...cross) || 1;
  return cross.map((value) => value / length);
}
