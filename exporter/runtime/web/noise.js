/** The noise of exporter/runtime/inputs/noise.py: Philox4x64-10 (Salmon et al., SC 2011), then Box and Muller in float64. */

import { requireSeed } from "./values.js";

const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
const ROUNDS = 10;

/**
 * Unit normal noise, `count` numbers as a Float32Array. `seed`: a whole number from 0 to 2^64 - 1, above 2^53 as a
 * BigInt; every `draw` of every `stream` of a seed is another one. Throws RangeError for another seed.
 */
export function noise(seed, count, { draw = 0, stream = 0 } = {}) {
  const key = [requireSeed(seed), BigInt(stream)];
  const normals = new Float32Array(count);
  const uniform = uniforms(key, BigInt(draw));
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log1p(-uniform.next().value));
    const angle = 2 * Math.PI * uniform.next().value;
    normals[i] = radius * Math.cos(angle);
    if (i + 1 < count) normals[i + 1] = radius * Math.sin(angle);
  }
  return normals;
}

/** Endless uniforms in [0, 1): the upper 53 bits of each word. */
function* uniforms(key, draw) {
  for (let block = 1n; ; block++) {
    for (const word of philox(key, block, draw)) yield Number(word >> 11n) * 2 ** -53;
  }
}

/** The four 64-bit words of one counter block. */
function philox(key, block, draw) {
  let [a, b, c, d] = [block, 0n, 0n, draw];
  let [low, high] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const first = a * MULTIPLIERS[0];
    const second = c * MULTIPLIERS[1];
    [a, b, c, d] = [(second >> 64n) ^ b ^ low, second & MASK, (first >> 64n) ^ d ^ high, first & MASK];
    low = (low + WEYL[0]) & MASK;
    high = (high + WEYL[1]) & MASK;
  }
  return [a, b, c, d];
}
