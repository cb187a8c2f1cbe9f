#!/usr/bin/env node
/** A prompt to a GLB file of a mesh or of points, under Node.js. */

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { pointsOf, pointsToGlb, toGlb, WebBundle } from "./index.js";
import { chosenGrid, requirePrompt, requireSeed, requireTexture } from "./values.js";

const HELP = `Usage: node generate.js PROMPT [options]

  -o, --output FILE   Where the object goes, a .glb.  [default: mesh.glb]
  --bundle FOLDER     The bundle.  [default: the one that this client came in]
  --seed N            Seed of the noise.  [default: 0]
  --negative TEXT     What the object is to be unlike, where the recipe has such conditions.
  --grid N            Samples of the field along each edge.  [default: the recipe's]
  --quality Q         draft, normal or fine: a grid of 64, 128 or 256.
  --texture T         palette, a picture of the colours, which every viewer shows, or none, for colours of the vertices
                      alone.  [default: palette]

Examples:
  npm ci && node generate.js "a red chair" -o chair.glb
  node generate.js "a blue mug" --seed 7 --grid 64 --bundle ../my_bundle`;

const text = { type: "string" };
const options = {
  ...{ output: { ...text, short: "o" }, bundle: text, seed: text, negative: text, grid: text, quality: text },
  ...{ texture: text, help: { type: "boolean" } },
};

async function main() {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return console.log(HELP);
  if (positionals.length !== 1) throw new Error(`one PROMPT is expected\n\n${HELP}`);
  const prompt = requirePrompt(positionals[0]);
  const seed = requireSeed(number(values.seed ?? "0", BigInt));
  const grid = chosenGrid(values.grid && number(values.grid, Number), values.quality);
  const texture = requireTexture(values.texture);
  const output = values.output ?? "mesh.glb";
  if (!output.toLowerCase().endsWith(".glb")) throw new RangeError(`${output}: this writes .glb files only`);
  const bundle = await WebBundle.open(values.bundle ?? fileURLToPath(new URL("..", import.meta.url)));
  const onStep = (done, total, stage) =>
    process.stderr.isTTY && process.stderr.write(`\r\x1b[K${stage}: ${done} of ${total} `);
  const kinds = Object.values(bundle.pipeline.assets).map(({ kind }) => kind);
  if (kinds.includes("points") && !kinds.includes("mesh")) {
    const request = (given) => Object.fromEntries(Object.keys(bundle.pipeline.inputs).map((name) => [name, given]));
    const others = values.negative === undefined ? {} : { negative: request(values.negative) };
    const points = await pointsOf(bundle.make(request(prompt), { seed, onStep, others }));
    await writeFile(output, pointsToGlb(points));
    return console.log(`${output}  (${points.positions.length / 3} points)`);
  }
  const mesh = await bundle.generate(prompt, { seed, grid, negative: values.negative, onStep });
  await writeFile(output, toGlb(mesh, { texture }));
  console.log(`${output}  (${mesh.vertices.length / 3} vertices, ${mesh.faces.length / 3} triangles)`);
}

/** Digits as a number; anything else as it is, for it is refused by that name. */
function number(digits, kind) {
  return /^\d+$/.test(digits) ? kind(digits) : digits;
}

main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
});
