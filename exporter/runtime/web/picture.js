/** Pictures to tensors, in the bits of exporter/runtime/inputs/picture.py, whose resampling is Pillow's. */

import { BundleError } from "./errors.js";
import { resizedFloats } from "./float_resize.js";
import { framed } from "./framing.js";

const PRECISION = 22;
const cubic = (x) => {
  const [a, t] = [-0.5, Math.abs(x)];
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
};
const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
  lanczos: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

// The limits of exporter/runtime/inputs/picture.py.
const MOST_PIXELS = 2 ** 26;
const LONGEST_STRIP = 32;

/**
 * An ImageData, {data, width, height}, of a file (a Blob), a canvas, an ImageBitmap or a loaded <img>, in a page or a
 * worker; an ImageData as it is. A file is turned as its camera was held, and no colour profile changes its bytes; where
 * it is half transparent, browsers round its colours. Throws BundleError for what they cannot decode, or is too large.
 */
export async function pictureOf(source) {
  if (source?.data !== undefined) return source;
  if (source instanceof Blob) {
    const decoded = await decode(source);
    try {
      return drawn(decoded, decoded.width, decoded.height);
    } finally {
      decoded.close();
    }
  }
  const [width, height] = [source?.naturalWidth ?? source?.width, source?.naturalHeight ?? source?.height];
  if (!(width > 0 && height > 0)) {
    throw new BundleError("a picture has to be a file, a canvas, an image that is loaded, or {data, width, height}");
  }
  return drawn(source, width, height);
}

async function decode(file) {
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none",
    });
  } catch (error) {
    throw new BundleError(`${file.name || "the picture"}: the browser cannot decode it: ${error.message}`);
  }
}

function drawn(source, width, height) {
  requireSize(width, height);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

function requireSize(width, height) {
  if (width * height > MOST_PIXELS) {
    const most = Math.floor(MOST_PIXELS / 1e6);
    throw new BundleError(`at most ${most} million pixels are taken, and this picture has ${width} x ${height}`);
  }
  if (Math.max(width, height) > LONGEST_STRIP * Math.min(width, height)) {
    throw new BundleError(
      `${width} x ${height} pixels are a strip: one edge may be at most ${LONGEST_STRIP} times the other`,
    );
  }
}

/**
 * Float32Array [3 * size * size] of {data, width, height}, bytes with four channels as an ImageData has them. Throws
 * BundleError for anything else.
 */
export function readPicture(picture, name, source) {
  const { data, width, height } = picture ?? {};
  if (!(width > 0 && height > 0) || data?.length !== 4 * width * height) {
    throw new BundleError(`input '${name}' has to be a picture {data, width, height} of bytes with four channels`);
  }
  requireSize(width, height);
  return normalized(valuesOf(picture, source), source);
}

/** Float32Array [size * size * 3] from 0 to 1. */
function valuesOf({ data, width, height }, source) {
  const { size, shorter_edge: shorter, resampling, background, framing, resized_as: resizedAs } = source;
  const found = framing ? framed({ data, width, height }, framing) : { data: opaque(data, background), width, height };
  if (resizedAs === "floats") return resizedFloats(found, size);
  const least = Math.min(found.width, found.height);
  const sized = (edge) => (shorter == null ? size : edge === least ? shorter : Math.trunc((shorter * edge) / least));
  const [across, down] = [sized(found.width), sized(found.height)];
  const pixels = resized(found, across, down, resampling);
  const [left, top] = [Math.floor((across - size) / 2), Math.floor((down - size) / 2)];
  const values = new Float32Array(3 * size * size);
  for (let y = 0; y < size; y++) {
    const row = 3 * ((y + top) * across + left);
    for (let i = 0; i < 3 * size; i++) values[3 * y * size + i] = pixels[row + i] * (1 / 255);
  }
  return values;
}

/** Float32Array [3 * size * size] of values [size * size * 3], less the mean, over the spread. */
function normalized(values, { size, mean, std }) {
  const found = new Float32Array(3 * size * size);
  for (let channel = 0; channel < 3; channel++) {
    const [middle, spread] = [Math.fround(mean[channel]), Math.fround(std[channel])];
    for (let at = 0; at < size * size; at++) {
      found[channel * size * size + at] = Math.fround(Math.fround(values[3 * at + channel] - middle) / spread);
    }
  }
  return found;
}

/** Bytes [P * 3] of bytes [P * 4] over a background, rounded as Pillow's `alpha_composite` rounds. */
function opaque(data, background) {
  const pixels = new Uint8Array((data.length / 4) * 3);
  for (let i = 0; i < data.length / 4; i++) {
    const alpha = data[4 * i + 3];
    for (let channel = 0; channel < 3; channel++) {
      const over = data[4 * i + channel];
      pixels[3 * i + channel] = alpha === 255 ? over : composite(over, background[channel], alpha);
    }
  }
  return pixels;
}

/** One channel over an opaque background: Pillow's integers, with 7 bits more than a byte has. */
function composite(over, under, alpha) {
  if (alpha === 0) return under;
  const share = Math.floor((alpha * 255 * 255 * 128) / (255 * 255));
  const sum = over * share + under * (255 * 128 - share) + (0x80 << 7);
  return ((sum >> 8) + sum) >> 8 >> 7;
}

/** Bytes [P * 3] of another size: Pillow's `resize`, along rows first, each rounded to bytes. */
function resized({ data, width, height }, across, down, resampling) {
  if (resampling === "nearest") return nearest({ data, width, height }, across, down);
  const rows = across === width ? data : along(data, width, height, across, FILTERS[resampling], 3, 3 * width, 3 * across);
  if (down === height) return rows;
  return along(rows, height, across, down, FILTERS[resampling], 3 * across, 3, 3);
}

/**
 * Bytes resampled from `from` to `to` along lines of which there are `lines`; neighbours in a line are `step` apart,
 * lines `stride` apart, in the result `strideMade`.
 */
function along(data, from, lines, to, { support, weight }, step, stride, strideMade) {
  const made = new Uint8Array(to * lines * 3);
  const scale = Math.max(1, from / to);
  const reach = support * scale;
  for (let at = 0; at < to; at++) {
    const centre = (at + 0.5) * (from / to);
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(from, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) => weight((i + first - centre + 0.5) / scale));
    const sum = weights.reduce((total, one) => total + one, 0);
    const whole = weights.map((one) => Math.trunc((one / sum) * 2 ** PRECISION + (one < 0 ? -0.5 : 0.5)));
    for (let line = 0; line < lines; line++) {
      for (let channel = 0; channel < 3; channel++) {
        let total = 2 ** (PRECISION - 1);
        for (let i = 0; i < whole.length; i++) total += whole[i] * data[line * stride + (first + i) * step + channel];
        const byte = Math.floor(total / 2 ** PRECISION);
        made[line * strideMade + at * step + channel] = Math.min(255, Math.max(0, byte));
      }
    }
  }
  return made;
}

function nearest({ data, width, height }, across, down) {
  const made = new Uint8Array(across * down * 3);
  const [columns, rows] = [places(width, across), places(height, down)];
  rows.forEach((y, j) =>
    columns.forEach((x, i) => made.set(data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3), 3 * (j * across + i))),
  );
  return made;
}

/** The nearest of `from` pixels to each of `to`, added up as Pillow adds up. */
function places(from, to) {
  const step = from / to;
  let at = step / 2;
  return Array.from({ length: to }, () => {
    const place = Math.trunc(at);
    at += step;
    return place;
  });
}
