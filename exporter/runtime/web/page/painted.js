/** A mesh whose colours are in a picture, for readers that ignore those of its vertices, as AR Quick Look does. */

/**
 * {vertices, faces, colors} as {sources, faces, uv, picture}: each triangle in one colour, the mean of its corners'.
 * `sources`: the vertex that each new one is a copy of; `uv`: the middle of its colour's pixel, v upwards; `picture`: an
 * ImageData's {data, width, height}, sRGB. Triangles of one lattice are so small that a colour each loses nothing to see.
 */
export function painted({ faces, colors }) {
  const count = faces.length / 3;
  const pixelOf = new Map();
  const pixels = Uint32Array.from({ length: count }, (_, face) => {
    const [r, g, b] = [0, 1, 2].map((channel) => byteOf(meanOf(faces, colors, face, channel)));
    const shade = (r << 16) | (g << 8) | b;
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
      uv.push(((pixel % width) + 0.5) / width, 1 - (Math.floor(pixel / width) + 0.5) / height);
    }
    return known.get(key);
  });
  return { sources, faces: corners, uv: Float32Array.from(uv), picture };
}

function meanOf(faces, colors, face, channel) {
  const [a, b, c] = [0, 1, 2].map((corner) => colors[3 * faces[3 * face + corner] + channel]);
  return (a + b + c) / 3;
}

function byteOf(value) {
  return Math.round(255 * Math.min(1, Math.max(0, value)));
}

/** A picture about as wide as high of colours 0xrrggbb, a pixel each. */
function pictureOf(shades) {
  const width = Math.max(1, Math.ceil(Math.sqrt(shades.length)));
  const height = Math.max(1, Math.ceil(shades.length / width));
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  shades.forEach((shade, pixel) => data.set([shade >> 16, (shade >> 8) & 255, shade & 255], 4 * pixel));
  return { data, width, height };
}
