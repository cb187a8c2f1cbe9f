/** A coloured mesh, or coloured points, as a binary glTF 2.0 file. */

import { copied, painted } from "./painted.js";
import { toPng } from "./png.js";
import { requireNoOthers, requireTexture } from "./values.js";

const POINTS = 0;
const FLOAT = 5126;
const UNSIGNED_INT = 5125;
const ARRAY_BUFFER = 34962;
const ELEMENT_ARRAY_BUFFER = 34963;
const MATTE = { metallicFactor: 0, roughnessFactor: 0.9 };
// Each pixel is one colour, which must not run into its neighbours'.
const SAMPLER = { magFilter: 9728, minFilter: 9728, wrapS: 33071, wrapT: 33071 };

/**
 * {positions, colors} of points as the bytes of a .glb: y up, linear colours, no material, which leaves points without
 * normals unlit.
 */
export function pointsToGlb({ positions, colors }) {
  return written([yUp(positions), colors.map(srgbToLinear)], { POSITION: 0, COLOR_0: 1 }, { mode: POINTS });
}

/**
 * {vertices, faces, colors} as the bytes of a .glb: y up, with normals, as glTF wants it; the mesh itself is z up with
 * sRGB colours. Its material is matte: without one glTF's is a metal, black under an ambient light. `texture`: "palette",
 * each triangle's colour in a picture, which every viewer shows, or "none", linear colours of the vertices alone, which
 * many ignore. Throws RangeError for an empty mesh, which glTF cannot hold, another texture or another option.
 */
export function toGlb({ vertices, faces, colors }, { texture, ...others } = {}) {
  requireNoOthers(others, ["texture"]);
  const isTextured = requireTexture(texture) !== "none";
  if (!faces.length) throw new RangeError("the mesh is empty: try another seed or another wording");
  const parts = [yUp(vertices), yUp(vertexNormals(vertices, faces)), colors.map(srgbToLinear)];
  if (isTextured) return textured(parts, painted({ faces, colors }));
  return written([...parts, faces], { POSITION: 0, NORMAL: 1, COLOR_0: 2 }, { indices: 3, material: 0 });
}

/** The colours of the vertices are the attribute _COLOR_0: a COLOR_0 would be multiplied with the picture's. */
function textured(parts, { sources, faces, uv, picture }) {
  const split = parts.map((vectors) => copied(vectors, sources));
  const attributes = { POSITION: 0, NORMAL: 1, _COLOR_0: 2, TEXCOORD_0: 3 };
  return written([...split, uv, faces], attributes, { indices: 4, material: 0 }, toPng(picture));
}

/**
 * The file of one primitive: positions first, then the other attributes, and the indices last where it has any. `image`:
 * the bytes of the picture that has its base colour.
 */
function written(parts, attributes, more, image) {
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
  if (image) views.push({ buffer: 0, byteOffset: offset, byteLength: image.length });
  const binaryLength = offset + (image ? 4 * Math.ceil(image.length / 4) : 0);
  const tree = {
    asset: { version: "2.0", generator: "t3export" },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ mesh: 0 }],
    materials: more.material === undefined ? undefined : [materialOf(image)],
    textures: image && [{ sampler: 0, source: 0 }],
    samplers: image && [SAMPLER],
    images: image && [{ mimeType: "image/png", bufferView: parts.length }],
    meshes: [{ primitives: [{ attributes, ...more }] }],
    accessors: parts.map((part, i) =>
      i === more.indices
        ? of(i, UNSIGNED_INT, part.length, "SCALAR")
        : of(i, FLOAT, count, `VEC${part.length / count}`, i === 0 ? bounds(positions) : {}),
    ),
    bufferViews: views,
    buffers: [{ byteLength: binaryLength }],
  };
  return container(new TextEncoder().encode(JSON.stringify(tree)), image ? [...parts, image] : parts, binaryLength);
}

function materialOf(image) {
  if (!image) return { pbrMetallicRoughness: MATTE };
  return { pbrMetallicRoughness: { baseColorTexture: { index: 0 }, ...MATTE }, doubleSided: false };
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
