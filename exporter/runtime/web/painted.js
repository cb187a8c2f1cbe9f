/** A mesh whose colours are in a picture, for readers that ignore those of its vertices, as most viewers and phones do. */

// Colours in steps of two bytes: fewer differ, so fewer vertices are split, and none is off by more than one.
const STEPS = 127.5;

/**
 * {vertices, faces, colors} as {sources, faces, uv, picture}: each triangle in one colour, the mean of its corners'.
 * `sources`: the vertex that each new one is a copy of; `uv`: the middle of its colour's pixel, v downwards; `picture`: an
 * ImageData's {data, width, height}, sRGB. Triangles of one lattice are so small that a colour each loses nothing to see.
 */
export function painted({ faces, colors }) {
  const pixelOf = new Map();
  const pixels = Uint32Array.from({ length: faces.length / 3 }, (_, face) => {
    const shade = shadeOf(faces, colors, 3 * face);
    if (!pixelOf.has(shade)) pixelOf.set(shade, pixelOf.size);
    return pixelOf.get(shade);
  });
  const picture = pictureOf([...pixelOf.keys()]);
  const { width, height } = picture;
  const known = new Map();
  const sources = [];
  const uv = [];
  const corners = faces.map((vertex, corner) => {
    const pixel = pixels[Math.floor(corner / 3)];
    const key = vertex * pixelOf.size + pixel;
    if (!known.has(key)) {
      known.set(key, sources.length);
      sources.push(vertex);
      uv.push(((pixel % width) + 0.5) / width, (Math.floor(pixel / width) + 0.5) / height);
    }
    return known.get(key);
  });
  return { sources, faces: corners, uv: Float32Array.from(uv), picture };
}

/** Vectors [V * 3] of vertices as those of their copies [W * 3]. */
export function copied(vectors, sources) {
  const found = new Float32Array(3 * sources.length);
  sources.forEach((source, i) => {
    for (let axis = 0; axis < 3; axis++) found[3 * i + axis] = vectors[3 * source + axis];
  });
  return found;
}

/** The colour of the triangle whose corners begin at `first`, as 0xrrggbb. */
function shadeOf(faces, colors, first) {
  let shade = 0;
  for (let channel = 0; channel < 3; channel++) {
    let sum = 0;
    for (let corner = first; corner < first + 3; corner++) sum += colors[3 * faces[corner] + channel];
    shade = (shade << 8) | byteOf(sum / 3);
  }
  return shade;
}

function byteOf(value) {
  return Math.min(255, 2 * Math.round(STEPS * Math.max(0, value)));
}

/** A picture of colours 0xrrggbb, a pixel each, its sides powers of two, as phones' graphics processors like them. */
function pictureOf(shades) {
  const width = powerOfTwo(Math.sqrt(shades.length));
  const height = powerOfTwo(shades.length / width);
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  shades.forEach((shade, pixel) => data.set([shade >> 16, (shade >> 8) & 255, shade & 255], 4 * pixel));
  return { data, width, height };
}

function powerOfTwo(least) {
  let side = 1;
  while (side < least) side *= 2;
  return side;
}
