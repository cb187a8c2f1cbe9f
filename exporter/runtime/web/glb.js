/** A coloured mesh, or coloured points, as a binary glTF 2.0 file. */

const POINTS = 0;
const FLOAT = 5126;
const UNSIGNED_INT = 5125;
const ARRAY_BUFFER = 34962;
const ELEMENT_ARRAY_BUFFER = 34963;
const MATTE = { pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 0.9 } };

/**
 * {positions, colors} of points as the bytes of a .glb: y up, linear colours, no material, which leaves points without
 * normals unlit.
 */
export function pointsToGlb({ positions, colors }) {
  return written([yUp(positions), colors.map(srgbToLinear)], { POSITION: 0, COLOR_0: 1 }, { mode: POINTS });
}

/**
 * {vertices, faces, colors} as the bytes of a .glb: y up, with normals and linear vertex colours, as glTF wants it; the
 * mesh itself is z up with sRGB colours. Its material is matte: without one glTF's is a metal, black under an ambient
 * light. Throws RangeError for an empty mesh, which glTF cannot hold.
 */
export function toGlb({ vertices, faces, colors }) {
  if (!faces.length) throw new RangeError("the mesh is empty: try another seed or another wording");
  const parts = [yUp(vertices), yUp(vertexNormals(vertices, faces)), colors.map(srgbToLinear), faces];
  return written(parts, { POSITION: 0, NORMAL: 1, COLOR_0: 2 }, { indices: 3, material: 0 });
}

/** The file of one primitive: positions first, then the other attributes, and the indices last where it has any. */
function written(parts, attributes, more) {
  const [positions] = parts;
  let offset = 0;
  const views = parts.map((part, i) => {
    const view = {
      buffer: 0,
      byteOffset: offset,
      byteLength: part.byteLength,
      target: i === more.indices ? ELEMENT_ARRAY_BUFFER : ARRAY_BUFFER,
    };
    offset += part.byteLength;
    return view;
  });
  const of = (bufferView, componentType, count, type, more = {}) => ({
    bufferView,
    componentType,
    count,
    type,
    ...more,
  });
  const count = positions.length / 3;
  const tree = {
    asset: { version: "2.0", generator: "t3export" },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ mesh: 0 }],
    materials: more.material === undefined ? undefined : [MATTE],
    meshes: [{ primitives: [{ attributes, ...more }] }],
    accessors: parts.map((part, i) =>
      i === more.indices
        ? of(i, UNSIGNED_INT, part.length, "SCALAR")
        : of(i, FLOAT, count, "VEC3", i === 0 ? bounds(positions) : {}),
    ),
    bufferViews: views,
    buffers: [{ byteLength: offset }],
  };
  return container(new TextEncoder().encode(JSON.stringify(tree)), parts, offset);
}

/** The header, the JSON chunk padded with spaces, and the binary chunk. */
function container(json, parts, binaryLength) {
  const jsonLength = Math.ceil(json.length / 4) * 4;
  const bytes = new Uint8Array(28 + jsonLength + binaryLength);
  const words = new DataView(bytes.buffer);
  const put = (at, ...values) => values.forEach((value, i) => words.setUint32(at + 4 * i, value, true));
  put(0, 0x46546c67, 2, bytes.length, jsonLength, 0x4e4f534a);
  bytes.fill(0x20, 20, 20 + jsonLength).set(json, 20);
  put(20 + jsonLength, binaryLength, 0x004e4942);
  let at = 28 + jsonLength;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  return bytes;
}

function yUp(vectors) {
  const turned = new Float32Array(vectors.length);
  for (let i = 0; i < vectors.length; i += 3) turned.set([vectors[i], vectors[i + 2], -vectors[i + 1]], i);
  return turned;
}

/** Unit outward normals [V * 3], face normals weighted by area. */
function vertexNormals(vertices, faces) {
  const normals = new Float32Array(vertices.length);
  for (let face = 0; face < faces.length; face += 3) {
    const [a, b, c] = [0, 1, 2].map((corner) => 3 * faces[face + corner]);
    const [u, v] = [b, c].map((to) => [0, 1, 2].map((i) => vertices[to + i] - vertices[a + i]));
    const cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const corner of [a, b, c]) cross.forEach((value, i) => (normals[corner + i] += value));
  }
  for (let i = 0; i < normals.length; i += 3) {
    const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
    for (let axis = 0; axis < 3; axis++) normals[i + axis] /= length;
  }
  return normals;
}

function bounds(positions) {
  const min = [Infinity, Infinity, Infinity];
  const max = min.map((value) => -value);
  positions.forEach((value, i) => {
    min[i % 3] = Math.min(min[i % 3], value);
    max[i % 3] = Math.max(max[i % 3], value);
  });
  return { min, max };
}

/** sRGB in [0, 1] to linear light. */
export function srgbToLinear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}
