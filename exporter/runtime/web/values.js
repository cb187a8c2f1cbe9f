/** What a bundle takes of those who ask it for an object, as exporter/runtime/inputs/values.py has it for Python. */

export const QUALITIES = { draft: 64, normal: 128, fine: 256 };
export const TEXTURES = ["none", "palette"];
export const SMALLEST_GRID = 8;
export const LARGEST_GRID = 512;
export const LARGEST_SEED = 2n ** 64n - 1n;

/** Text that says something. Throws RangeError for anything else, half a surrogate pair included. */
export function requirePrompt(prompt) {
  if (typeof prompt !== "string" || !prompt.trim()) {
    throw new RangeError(`prompt: words that say what to make are expected, not ${told(prompt)}`);
  }
  if (!prompt.isWellFormed()) {
    throw new RangeError(`prompt ${told(prompt)}: a half of a surrogate pair is not text; was the prompt cut?`);
  }
  return prompt;
}

/** A whole number below 2^64 as a BigInt; one above 2^53 has to come as a BigInt. Throws RangeError. */
export function requireSeed(seed) {
  const whole = typeof seed === "bigint" ? seed : Number.isSafeInteger(seed) ? BigInt(seed) : -1n;
  if (whole < 0n || whole > LARGEST_SEED) {
    throw new RangeError(
      `seed: a whole number from 0 to 2^64 - 1 is expected, not ${told(seed)}; above 2^53 it is a BigInt, as in 7n`,
    );
  }
  return whole;
}

/** Samples of the field along an edge. Throws RangeError for anything but a whole number that is taken. */
export function requireGrid(grid) {
  if (!Number.isSafeInteger(grid) || grid < SMALLEST_GRID || grid > LARGEST_GRID) {
    throw new RangeError(
      `grid: a whole number from ${SMALLEST_GRID} to ${LARGEST_GRID} is expected, not ${told(grid)}`,
    );
  }
  return grid;
}

/** The grid of a number or of a quality by name, undefined for neither. Throws RangeError for both, or another value. */
export function chosenGrid(grid, quality) {
  if (quality == null) return grid == null ? undefined : requireGrid(grid);
  if (grid != null) throw new RangeError(`quality: ${told(quality)} stands for a grid: give grid or quality, not both`);
  if (!Object.hasOwn(QUALITIES, quality)) {
    throw new RangeError(`quality: no ${told(quality)}; allowed: ${Object.keys(QUALITIES).sort().join(", ")}`);
  }
  return QUALITIES[quality];
}

/** Whether every point is asked; undefined leaves it to the recipe. Throws RangeError for anything else. */
export function requireExact(exact) {
  if (exact == null || typeof exact === "boolean") return exact ?? undefined;
  throw new RangeError(`exact: yes or no is expected as a boolean, not ${told(exact)}`);
}

/** Where a file has its colours, "palette" for undefined. Throws RangeError for another value. */
export function requireTexture(texture) {
  if (texture == null) return "palette";
  if (!TEXTURES.includes(texture)) throw new RangeError(`texture: no ${told(texture)}; allowed: ${TEXTURES.join(", ")}`);
  return texture;
}

/** Nothing is left of what was given by name. Throws RangeError that says what may be given. */
export function requireNoOthers(others, allowed) {
  const [name] = Object.keys(others);
  if (name !== undefined) throw new RangeError(`no option ${told(name)}; allowed: ${allowed.join(", ")}`);
}

function told(value) {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
