/** The field of a run, and the mesh of its surface, as exporter/runtime/surface/decoded.py takes them. */

import { srgbToLinear } from "./glb.js";
import { sampleGrid } from "./grid.js";
import { marchingCubes } from "./marching_cubes.js";
import { chosenGrid, requireExact } from "./values.js";

/**
 * The field that the pipeline's mesh is taken from: {distances(points [P * 3]) to [P], positive inside, squash:
 * what they went through, colors(points) to [P * 3], sRGB}. Throws BundleError for a pipeline that ends in no mesh.
 */
export function fieldOf(run) {
  const { stage } = run.pipeline.asset("mesh");
  const { distance, color, squash: kind, level } = run.pipeline.stage(stage).volume;
  const output = (name) => async (points) => (await run.at(stage, points, name))[name];
  return { distances: output(distance), squash: { kind, level }, colors: output(color) };
}

/**
 * The mesh of a run: {vertices [V * 3], faces [F * 3], colors [V * 3]}, empty where the field is, sRGB but for a recipe
 * with OpenAI's conventions, whose meshes are shrunk and have linear colours. `grid` and `exact` default to the recipe's. Throws BundleError for a pipeline that ends in no mesh.
 */
export async function meshOf(run, given = {}) {
  const field = fieldOf(run);
  const asset = run.pipeline.asset("mesh");
  const grid = chosenGrid(given.grid) ?? asset.grid;
  const exact = requireExact(given.exact) ?? asset.extraction === "exact";
  const { values } = await sampleGrid(field.distances, grid, exact, field.squash);
  const { vertices, faces } = marchingCubes(values, grid);
  const asOpenai = asset.conventions === "openai";
  const placed = asOpenai ? vertices.map((value) => value * Math.fround((grid - 1) / (grid + 1))) : vertices;
  const asked = await field.colors(placed.map((value) => Math.min(1, Math.max(-1, value))));
  const colors = asked.map((value) => Math.min(1, Math.max(0, value)));
  return { vertices: placed, faces, colors: asOpenai ? colors.map(srgbToLinear) : colors };
}
