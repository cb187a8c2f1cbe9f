/** An object brought into the middle of a square: exporter/runtime/inputs/framing.py, to the bit. */

import { BundleError } from "./errors.js";

const PLAIN_BORDER = 0.75;

/** {data bytes [P * 3], width, height} of {data bytes [P * 4], width, height}. Throws BundleError. */
export function framed({ data, width, height }, { share, background, tolerance }) {
  const alpha = alphaOf(data, width, height, tolerance);
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!alpha[y * width + x]) continue;
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      [left, right] = [Math.min(left, x), Math.max(right, x)];
    }
  }
  if (bottom - top < 1 || right - left < 1) {
    throw new BundleError("picture: there is nothing in it: it is all background");
  }
  const [across, down] = [right - left, bottom - top];
  const longer = Math.max(across, down);
  const edge = Math.trunc(longer / share);
  const before = (side) => Math.floor((longer - side) / 2) + Math.floor((edge - longer) / 2);
  const grey = Math.fround(background);
  const made = new Uint8Array(3 * edge * edge).fill(Math.trunc(Math.fround(grey * 255)));
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      const from = (y + top) * width + x + left;
      const to = (y + before(down)) * edge + x + before(across);
      const share = Math.fround(alpha[from] / 255);
      const under = Math.fround(Math.fround(1 - share) * grey);
      for (let channel = 0; channel < 3; channel++) {
        const over = Math.fround(Math.fround(data[4 * from + channel] / 255) * share);
        made[3 * to + channel] = Math.trunc(Math.fround(Math.fround(over + under) * 255));
      }
    }
  }
  return { data: made, width: edge, height: edge };
}

/** Of each pixel, the picture's own where any is transparent; else 0 on a plain background and 255 elsewhere. */
function alphaOf(data, width, height, tolerance) {
  const alpha = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3]);
  if (alpha.some((value) => value < 255)) return alpha;
  const border = [];
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (x === 0 || y === 0 || x === width - 1 || y === height - 1) border.push(i);
  }
  const median = [0, 1, 2].map((channel) => {
    const sorted = Uint8Array.from(border, (i) => data[4 * i + channel]).sort();
    return sorted[(sorted.length - 1) >> 1];
  });
  const near = (i) => median.every((value, channel) => Math.abs(data[4 * i + channel] - value) <= tolerance);
  const waiting = border.filter(near);
  if (waiting.length / border.length < PLAIN_BORDER) {
    throw new BundleError(
      "picture: its background is neither transparent nor plain; cut the object out and give it with transparency, or " +
        "photograph it in front of one colour",
    );
  }
  waiting.forEach((i) => (alpha[i] = 0));
  while (waiting.length) {
    const i = waiting.pop();
    const x = i % width;
    const around = [i - width, i + width, x > 0 ? i - 1 : -1, x < width - 1 ? i + 1 : -1];
    for (const next of around) {
      if (next < 0 || next >= alpha.length || !alpha[next] || !near(next)) continue;
      alpha[next] = 0;
      waiting.push(next);
    }
  }
  return alpha;
}
