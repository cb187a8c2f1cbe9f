/** Makes the mesh of each prompt that comes in, one a line, and says in JSON how long that took, by stage. */

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [client, folder, threads, grid] = process.argv.slice(2);
const module = (name) => import(new URL(name, pathToFileURL(`${client}/`)));
const { ort } = await module("packages.js");
ort.env.wasm.numThreads = Number(threads);
const { WebBundle } = await module("index.js");
const bundle = await WebBundle.open(folder);
const runProgram = bundle.runProgram.bind(bundle);
let seconds;
const timed = async (stage, work) => {
  const begun = performance.now();
  const made = await work();
  seconds[stage] = (seconds[stage] ?? 0) + (performance.now() - begun) / 1000;
  return made;
};
bundle.runProgram = (stage, tensors) => timed(stage, () => runProgram(stage, tensors));
for await (const prompt of createInterface({ input: process.stdin })) {
  seconds = {};
  const { faces } = await timed("whole", () => bundle.generate(prompt, { seed: 0, grid: Number(grid) || undefined }));
  console.log(JSON.stringify({ seconds, triangles: faces.length / 3 }));
}
