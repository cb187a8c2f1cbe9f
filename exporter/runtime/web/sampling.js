/** The loop of a sampler around the program of one evaluation, as exporter/runtime/sampler_loop.py runs it. */

import * as ort from "onnxruntime-web";

/** What is carried from evaluation to evaluation; the other inputs of a sampler's program are its conditions. */
export const STATE = ["sample", "previous_sample", "previous_prediction", "step"];

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
 * Latents from conditions by name and unit normal noise [1, ...latents]. `run`: the stage's program. `onStep(done,
 * total)` is called after each evaluation; a program that holds the whole loop reports none.
 */
export async function sample(sampling, run, conditions, noise, onStep) {
  const { evaluations, latents, unroll } = sampling;
  let state = firstState(sampling, noise);
  if (unroll !== "step") return (await run({ ...conditions, sample: state.sample }))[latents.name];
  for (let done = 1; done <= evaluations; done++) {
    state = nextState(state, await run({ ...conditions, ...state }), done);
    onStep?.(done, evaluations);
  }
  return state.sample;
}

function stepTensor(step) {
  return new ort.Tensor("int64", BigInt64Array.of(BigInt(step)), []);
}
