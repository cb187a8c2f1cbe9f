/** Pictures resized as floats: exporter/runtime/inputs/float_resize.py, to the bit. */

const { fround } = Math;

/** Float32Array [size * size * 3] from 0 to 1, of bytes [P * 3]: columns first, then rows. */
export function resizedFloats({ data, width, height }, size) {
  const values = Float32Array.from(data, (byte) => byte / 255);
  const columns = along(values, width, height, size, 3, 3 * width, 3, 3 * size);
  return along(columns, height, size, size, 3 * size, 3, 3 * size, 3);
}

/**
 * Values resampled from `from` to `to` along lines of which there are `lines`; neighbours in a line are `step` apart,
 * lines `stride` apart, in the result `stepMade` and `strideMade`.
 */
function along(values, from, lines, to, step, stride, stepMade, strideMade) {
  if (from === to) return values;
  const made = new Float32Array(3 * to * lines);
  for (let at = 0; at < to; at++) {
    const { first, weights } = taps(at, from, to);
    for (let line = 0; line < lines; line++) {
      for (let channel = 0; channel < 3; channel++) {
        const start = line * stride + first * step + channel;
        let total = fround(values[start] * weights[0]);
        for (let j = 1; j < weights.length; j++) {
          total = fround(total + fround(values[start + j * step] * weights[j]));
        }
        made[line * strideMade + at * stepMade + channel] = total;
      }
    }
  }
  return made;
}

function taps(at, from, to) {
  const scale = fround(from / to);
  const support = Math.max(scale, 1);
  const inverse = scale >= 1 ? fround(1 / support) : 1;
  const center = fround(scale * (at + 0.5));
  const first = Math.max(Math.trunc(fround(fround(center - support) + 0.5)), 0);
  const last = Math.min(Math.trunc(fround(fround(center + support) + 0.5)), from);
  const offset = fround(first - center);
  const raw = Array.from({ length: last - first }, (_, j) => {
    const place = fround(fround(fround(j + offset) + 0.5) * inverse);
    return Math.max(0, fround(1 - Math.abs(place)));
  });
  const total = raw.reduce((sum, weight) => fround(sum + weight), 0);
  return { first, weights: raw.map((weight) => fround(weight / total)) };
}
