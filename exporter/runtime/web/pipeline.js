/**
 * A pipeline as data, read as exporter/pipeline/pipeline.py reads it: inputs from outside, stages wired by the names of
 * their tensors, and assets that come out.
 */

import { BundleError, namesOf } from "./errors.js";
import { FROM_HOST } from "./sampling.js";

// Kinds that are evaluated at many places of an object, and the word for how many in the shape of their input.
const EVALUATED = { field: "points", render: "rays" };

export class Pipeline {
  constructor({ inputs, stages, assets }) {
    this.inputs = inputs;
    this.stages = stages;
    this.assets = assets;
  }

  /** A stage as the manifest has it. Throws BundleError that names the stages there are. */
  stage(name) {
    if (!Object.hasOwn(this.stages, name)) {
      throw new BundleError(`no stage '${name}' in this bundle; it has ${namesOf(this.stages)}`);
    }
    return this.stages[name];
  }

  /** The input that says where a stage is evaluated. Throws BundleError for a stage that runs once an object. */
  evaluatedAt(name) {
    const { kind, inputs } = this.stage(name);
    if (!(kind in EVALUATED)) {
      throw new BundleError(`stage '${name}' is of kind ${kind}: only field and render are evaluated at places`);
    }
    return inputs.find(({ shape }) => shape.includes(EVALUATED[kind]));
  }

  /** What a stage takes of the inputs and of other stages. */
  takes(name) {
    const { kind, inputs, conditions = {} } = this.stage(name);
    if (kind in EVALUATED) {
      const places = this.evaluatedAt(name);
      return inputs.filter((spec) => spec !== places);
    }
    const isOthers = (tensor) => Object.keys(conditions).some((set) => tensor.startsWith(`${set}.`));
    return inputs.filter((spec) => kind !== "sample" || !(FROM_HOST.includes(spec.name) || isOthers(spec.name)));
  }

  /** Names of a stage's other sets of conditions with what each replaces: "none" or "prompt". */
  otherConditions(name) {
    return Object.entries(this.stage(name).conditions ?? {}).map(([set, { replaces }]) => [set, replaces]);
  }

  /** Whether a tensor is latents or made of them. */
  isSampled(tensor) {
    const maker = Object.keys(this.stages).find((name) => this.makes(name).some((spec) => spec.name === tensor));
    if (!maker) return false;
    return this.stage(maker).kind === "sample" || this.takes(maker).some((spec) => this.isSampled(spec.name));
  }

  /** Which of the streams of a seed a stage of kind sample draws its noise from. */
  stream(name) {
    return Object.keys(this.stages)
      .filter((other) => this.stages[other].kind === "sample")
      .indexOf(name);
  }

  /** What later stages may take of a stage. */
  makes(name) {
    const { kind, outputs, sampling } = this.stage(name);
    if (kind in EVALUATED) return [];
    return sampling ? [sampling.latents] : outputs;
  }

  /** The stage that makes a tensor. Throws BundleError that says what is made. */
  maker(tensor) {
    const made = {};
    for (const stage of Object.keys(this.stages)) for (const { name } of this.makes(stage)) made[name] = stage;
    if (Object.hasOwn(made, tensor)) return made[tensor];
    const input = Object.keys(this.inputs).find((name) => this.inputs[name].tensor === tensor);
    if (input) throw new BundleError(`'${tensor}' is read from the input '${input}', which this run was not given`);
    throw new BundleError(`no stage makes '${tensor}'; they make ${namesOf(made)}`);
  }

  /** The first asset of a kind. Throws BundleError that says what else comes out. */
  asset(kind) {
    const asset = Object.values(this.assets).find((other) => other.kind === kind);
    if (!asset) throw new BundleError(`this bundle makes no ${kind}; it makes ${namesOf(this.assets)}`);
    return asset;
  }

  /** Names of the stages that an asset needs, in the order in which they run. */
  stagesOf(kind) {
    const { stage, positions, colors, pixels } = this.asset(kind);
    const roots = [positions, colors, pixels?.name].filter(Boolean).map((tensor) => this.maker(tensor));
    const needed = new Set();
    const inputs = Object.values(this.inputs).map(({ tensor }) => tensor);
    const need = (name) => {
      if (needed.has(name)) return;
      needed.add(name);
      for (const { name: tensor } of this.takes(name)) if (!inputs.includes(tensor)) need(this.maker(tensor));
    };
    for (const root of roots.length ? roots : [stage]) need(root);
    return Object.keys(this.stages).filter((name) => needed.has(name));
  }

  /** Half an edge of the cube that fields and renderers see the object in, in their own units. */
  get halfWidth() {
    return Object.values(this.stages).find(({ volume }) => volume)?.volume.half_width ?? 1;
  }

  /** Whether a stage's program holds all evaluations of a sampler. */
  isWholeSampler(name) {
    const { sampling } = this.stage(name);
    return Boolean(sampling) && sampling.unroll !== "step";
  }
}
