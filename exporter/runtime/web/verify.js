#!/usr/bin/env node
/** Holds every program of a bundle to its goldens: `node verify.js [BUNDLE]`. Exit code 5 when one misses. */

import { fileURLToPath } from "node:url";

import { ort } from "./packages.js";

import { WebBundle } from "./bundle.js";
import { readNpz } from "./npz.js";

/** [{stage, golden, tensor, snr, limit, passed}], in dB, for each recorded output of each stage. */
export async function verify(bundle) {
  const { stages, goldens, recipe } = bundle.manifest;
  const found = [];
  for (const [stage, { precision }] of Object.entries(stages)) {
    const limit = limitOf(bundle.pipeline.isWholeSampler(stage), recipe.validation.tolerances[precision]);
    for (const golden of goldens[stage] ?? []) {
      const recorded = readNpz(await bundle.files.read(golden));
      const tensors = Object.entries(recorded).map(([name, { type, data, dims }]) => [
        name,
        new ort.Tensor(type, data, dims),
      ]);
      const outputs = await bundle.runProgram(stage, Object.fromEntries(tensors));
      for (const [tensor, output] of Object.entries(outputs)) {
        const snr = decibels(recorded[tensor].data, output.data);
        found.push({ stage, golden, tensor, snr, limit, passed: snr >= limit });
      }
    }
  }
  return found;
}

/** A stage's least SNR; a sampler in one program strays as far as free-running latents may. */
function limitOf(isWholeSampler, tolerances) {
  if (!isWholeSampler) return tolerances.stage_snr_db;
  return Math.min(tolerances.stage_snr_db, -20 * Math.log10(Math.max(tolerances.latents_relative_l2, 1e-12)));
}

/** Signal-to-noise ratio: Infinity for equal values, -Infinity for what is not finite. */
function decibels(expected, actual) {
  let [signal, noise] = [0, 0];
  expected.forEach((value, i) => {
    signal += value * value;
    noise += (actual[i] - value) ** 2;
  });
  if (noise === 0) return Infinity;
  return Number.isNaN(noise) ? -Infinity : 10 * Math.log10(signal / noise);
}

async function main() {
  const bundle = await WebBundle.open(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)));
  const found = await verify(bundle);
  for (const { stage, tensor, golden, snr, limit, passed } of found) {
    console.log(
      `${passed ? "passed" : "MISSED"}  ${stage} ${tensor}  ${snr.toFixed(1)} dB, wanted ${limit.toFixed(1)}  ${golden}`,
    );
  }
  const missed = found.filter(({ passed }) => !passed).length;
  console.log(`${found.length - missed} of ${found.length} outputs hold on ONNX Runtime Web ${ort.env.versions.web}`);
  if (missed) process.exitCode = 5;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
