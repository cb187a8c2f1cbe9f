/** Programs against their goldens: what they made where the bundle was built. */

import { readNpz } from "./npz.js";
import { ort } from "./packages.js";
import { goOn } from "./turn.js";

/**
 * [{stage, golden, tensor, snr, limit, passed}], in dB, for each recorded output of each stage. An AbortSignal, `signal`,
 * ends the work before the next program runs, by throwing its reason.
 */
export async function verify(bundle, { signal } = {}) {
  const { stages, goldens, recipe } = bundle.manifest;
  const found = [];
  for (const [stage, { precision }] of Object.entries(stages)) {
    const limit = limitOf(bundle.pipeline.isWholeSampler(stage), recipe.validation.tolerances[precision]);
    for (const golden of goldens[stage] ?? []) {
      await goOn(signal);
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
