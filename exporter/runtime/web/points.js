/** The points of a run, as exporter/runtime/assets/points.py takes them. */

const GREY = 0.6;

/**
 * {positions [P * 3], in the cube from -1 to 1 with z up, colors [P * 3], sRGB from 0 to 1}. Throws BundleError for a
 * pipeline that ends in no points.
 */
export async function pointsOf(run) {
  const { positions: places, half_width: halfWidth, colors: paint, color_range: range } = run.pipeline.asset("points");
  const positions = (await run.tensor(places)).data.map((value) => value / Math.fround(halfWidth));
  if (!paint) return { positions, colors: new Float32Array(positions.length).fill(GREY) };
  const [low, high] = range;
  const shade = (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
  return { positions, colors: (await run.tensor(paint)).data.map(shade) };
}
