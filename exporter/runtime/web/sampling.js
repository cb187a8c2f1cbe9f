/** The loop of a sampler around the program of one evaluation, as exporter/runtime/sampler_loop.py runs it. */

import { ort } from "./packages.js";

/** What the host gives to a sampler's program; its other inputs are its conditions. */
export const FROM_HOST = ["sample", "previous_sample", "previous_prediction", "step", "noise"];

/** What the first evaluation takes beside its conditions, from unit normal noise [1, ...latents]. */
function firstState({ init_noise_sigma: sigma }, noise) {
  const scaled = noise.data.map((value) => value * Math.fround(sigma));
  const zeros = new ort.Tensor("float32", new Float32Array(noise.size), noise.dims);
  const sample = new ort.Tensor("float32", scaled, noise.dims);
  return { sample, previous_sample: zeros, previous_prediction: zeros, step: stepTensor(0) };
}

/** What evaluation `step` takes, from what the one before it took and made. */
function nextState(state, made, step) {
  return {
    sample: made.next_sample,
    previous_sample: state.sample,
    previous_prediction: made.prediction,
    step: stepTensor(step),
  };
}

/**
 * Latents from conditions by name. `draws(k)`: unit normal noise [1, ...latents], draw 0 to begin with and, of a sampler
 * with churn, draw 1 + i for evaluation i. `run`: the stage's program. `onStep(done, total)` is called, and
 * waited for, after each evaluation; a program that holds the whole loop reports none.
 */
export async function sample(sampling, run, conditions, draws, onStep) {
  const { churn, evaluations, latents, unroll } = sampling;
  let state = firstState(sampling, draws(0));
  if (unroll !== "step") {
    const given = churn ? { noise: noiseOfAll(draws, evaluations) } : {};
    return (await run({ ...conditions, ...given, sample: state.sample }))[latents.name];
  }
  for (let done = 1; done <= evaluations; done++) {
    const given = churn ? { noise: draws(done) } : {};
    state = nextState(state, await run({ ...conditions, ...given, ...state }), done);
    await onStep?.(done, evaluations);
  }
  return state.sample;
}

/** The noise [1, evaluations, ...latents] that a program of all evaluations takes. */
function noiseOfAll(draws, evaluations) {
  const each = Array.from({ length: evaluations }, (_, step) => draws(1 + step));
  const [{ size, dims }] = each;
  const all = new Float32Array(evaluations * size);
  each.forEach(({ data }, step) => all.set(data, step * size));
  return new ort.Tensor("float32", all, [1, evaluations, ...dims.slice(1)]);
}

function stepTensor(step) {
  return new ort.Tensor("int64", BigInt64Array.of(BigInt(step)), []);
}
