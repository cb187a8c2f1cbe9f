/** A run of a pipeline: tensors by name, each made when it is first wanted, and kept; as exporter/runtime/run.py. */

import { ort } from "./packages.js";

import { BundleError, namesOf } from "./errors.js";
import { noise } from "./noise.js";
import { goOn } from "./turn.js";

// Points or rays: the memory that a program takes grows with them.
const AT_ONCE = 4096;

export class Run {
  /**
   * The tensors of one object. `programs`: a WebBundle. `given`: tensors [1, ...] by name that need not be made.
   * `seed`: what its noise is drawn from. `others`: by name, runs of what else its samplers are conditioned on. `onStep(done, total, stage)` is called after each evaluation of a sampler. An AbortSignal, `signal`, ends the work
   * before the next program runs, by throwing its reason.
   */
  constructor(programs, given, { seed = 0, onStep, others = {}, signal } = {}) {
    this.programs = programs;
    this.pipeline = programs.pipeline;
    this.given = given;
    this.seed = seed;
    this.onStep = onStep;
    this.others = others;
    this.signal = signal;
    this.made = new Map();
  }

  /** A tensor [1, ...]. Throws BundleError for one that no stage makes. */
  async tensor(name) {
    if (Object.hasOwn(this.given, name)) return this.given[name];
    const stage = this.pipeline.maker(name);
    // The promise is kept, so that a stage wanted twice at a time runs once.
    if (!this.made.has(stage)) this.made.set(stage, this.make(stage));
    return (await this.made.get(stage))[name];
  }

  /** The tensors that a stage takes, by name. */
  async takenBy(stage) {
    const taken = {};
    for (const { name } of this.pipeline.takes(stage)) taken[name] = await this.tensor(name);
    return { ...taken, ...(await this.takenBesides(stage, taken)) };
  }

  /** A stage's other sets of conditions; where one is not given, zeros or the prompt's own stand for it. */
  async takenBesides(stage, own) {
    const taken = {};
    for (const [set, replaces] of this.pipeline.otherConditions(stage)) {
      for (const [name, tensor] of Object.entries(own)) {
        const absent = () => (replaces === "prompt" ? tensor : zerosLike(tensor));
        const given = Object.hasOwn(this.others, set) && !this.pipeline.isSampled(name);
        taken[`${set}.${name}`] = given ? await this.others[set].tensor(name) : absent();
      }
    }
    return taken;
  }

  /**
   * Outputs {name: Float32Array [P * C]} of a stage of kind field at points [P * 3], or of kind render along rays
   * [P * 2 * 3], in the cube from -1 to 1 whatever the stage's own. Throws BundleError that names the stages or outputs there are.
   */
  async at(stage, places, ...outputs) {
    const { name: port, shape } = this.pipeline.evaluatedAt(stage);
    const widths = {};
    for (const output of this.pipeline.stage(stage).outputs) widths[output.name] = product(output.shape.slice(2));
    const unknown = outputs.find((name) => !Object.hasOwn(widths, name));
    if (unknown) throw new BundleError(`stage '${stage}' has no output '${unknown}'; it has ${namesOf(widths)}`);
    const context = await this.takenBy(stage);
    const width = product(shape.slice(2));
    const count = places.length / width;
    const found = Object.fromEntries(outputs.map((name) => [name, new Float32Array(count * widths[name])]));
    for (let start = 0; start < count; start += AT_ONCE) {
      const part = this.inOwnUnits(stage, places.subarray(start * width, (start + AT_ONCE) * width));
      const tensor = new ort.Tensor("float32", part, [1, part.length / width, ...shape.slice(2)]);
      await goOn(this.signal);
      const made = await this.programs.runProgram(stage, { ...context, [port]: tensor });
      for (const name of outputs) found[name].set(made[name].data, start * widths[name]);
    }
    return found;
  }

  /** Points, or origins of rays, in the cube that a stage has. */
  inOwnUnits(stage, places) {
    const { halfWidth } = this.pipeline;
    if (halfWidth === 1) return places;
    const isField = this.pipeline.stage(stage).kind === "field";
    return places.map((value, i) => (isField || i % 6 < 3 ? value * Math.fround(halfWidth) : value));
  }

  async make(stage) {
    const taken = await this.takenBy(stage);
    await goOn(this.signal);
    if (this.pipeline.stage(stage).kind !== "sample") return this.programs.runProgram(stage, taken);
    const [latents] = this.pipeline.makes(stage);
    const stream = this.pipeline.stream(stage);
    const draws = (draw) => unitNoise(this.seed, latents.shape.slice(1), { draw, stream });
    const onStep = (...done) => {
      this.onStep?.(...done);
      return goOn(this.signal);
    };
    return { [latents.name]: await this.programs.sample(stage, taken, draws, onStep) };
  }
}

/** Unit normal noise [1, ...shape] of one object; `which`: the draw and the stream. */
export function unitNoise(seed, shape, which) {
  return new ort.Tensor("float32", noise(seed, product(shape), which), [1, ...shape]);
}

function zerosLike({ size, dims }) {
  return new ort.Tensor("float32", new Float32Array(size), dims);
}

function product(shape) {
  return shape.reduce((size, along) => size * along, 1);
}
