/** An opened bundle: a pipeline run by the programs of a folder, on ONNX Runtime Web. */

import { ort } from "./packages.js";

import { BundleError, namesOf } from "./errors.js";
import { BundleFiles } from "./files.js";
import { meshOf } from "./mesh.js";
import { pictureOf, readPicture } from "./picture.js";
import { Pipeline } from "./pipeline.js";
import { providersHere } from "./providers.js";
import { Run } from "./run.js";
import { FROM_HOST, sample } from "./sampling.js";
import { PromptTokenizer } from "./tokenizer.js";
import { chosenGrid, requireExact, requireNoOthers, requirePrompt, requireSeed } from "./values.js";

const OPTIONS = ["seed", "grid", "quality", "exact", "negative", "onStep", "signal"];

export class WebBundle {
  constructor(files, tokenizers) {
    this.files = files;
    this.manifest = files.manifest;
    this.pipeline = new Pipeline(files.manifest);
    this.tokenizers = tokenizers;
    this.sessions = new Map();
  }

  /** A bundle folder by its URL or, in Node.js, its path. Throws BundleError for a damaged one. */
  static async open(location) {
    const files = await BundleFiles.open(location);
    const { target, inputs } = files.manifest;
    if (target.backend !== "onnxruntime-web") {
      throw new BundleError(`${location}: built for '${target.name}'; build it with --target web`);
    }
    if (target.session.threads) ort.env.wasm.numThreads = target.session.threads;
    const tokenizers = {};
    for (const [name, { kind, file, length, pad_id: padId, clean }] of Object.entries(inputs)) {
      if (kind !== "text") continue;
      const read = async (path) => JSON.parse(new TextDecoder().decode(await files.read(path)));
      const tables = (clean ?? "none") === "none" ? undefined : await read(`${file}.cleaning.json`);
      tokenizers[name] = new PromptTokenizer(await read(file), length, padId, tables);
    }
    return new WebBundle(files, tokenizers);
  }

  /**
   * The mesh of one prompt or, where the model takes pictures, of one picture as `pictureOf` takes it, which every input
   * gets: {vertices [V * 3], faces [F * 3], colors [V * 3]}, empty where the field is. A seed gives the same noise as everywhere. `quality`, "draft", "normal" or "fine", stands for a grid of
   * 64, 128 or 256. `negative`: what the object is to be unlike, where the recipe has such conditions.
   * `onStep(done, total, stage)` is called after each evaluation of a sampler; an AbortSignal, `signal`, ends the work.
   * Throws RangeError for a value that values.js does not take or another option, before any program runs.
   */
  async generate(prompt, { seed, grid, quality, exact, negative, onStep, signal, ...others } = {}) {
    requireNoOthers(others, OPTIONS);
    const chosen = { grid: chosenGrid(grid, quality), exact: requireExact(exact) };
    const taken = new Set(Object.values(this.pipeline.inputs).map(({ kind }) => kind));
    if (taken.has("text")) requirePrompt(prompt);
    if (taken.has("picture") && typeof prompt === "string") {
      throw new BundleError("this bundle takes a picture, not words: a file, a canvas, or {data, width, height}");
    }
    const request = async (one) => {
      const given = taken.has("picture") ? await pictureOf(one) : one;
      return Object.fromEntries(Object.keys(this.pipeline.inputs).map((name) => [name, given]));
    };
    const unlike = negative === undefined ? {} : { negative: await request(negative) };
    return meshOf(this.make(await request(prompt), { seed, onStep, others: unlike, signal }), chosen);
  }

  /**
   * A Run of one object, from what is given by the name of an input: {prompt: "a red chair"}, or {photo: {data, width,
   * height}}, an ImageData. Throws BundleError for an input that is missing, is no text or picture, or that the bundle
   * does not have. `others`: the same by the name of another set of conditions, {negative: {prompt: "legs"}}.
   */
  make(request, { seed = 0, onStep, others = {}, signal } = {}) {
    const runs = {};
    for (const [set, given] of Object.entries(others)) {
      if (!Object.values(this.pipeline.stages).some(({ conditions = {} }) => Object.hasOwn(conditions, set))) {
        throw new BundleError(`the sampler of this bundle was not exported to take '${set}'`);
      }
      runs[set] = new Run(this, this.read(given), { signal });
    }
    return new Run(this, this.read(request), { seed: requireSeed(seed), onStep, others: runs, signal });
  }

  /** What is asked for to the pipeline's input tensors [1, ...]. */
  read(request) {
    const { inputs } = this.pipeline;
    const unknown = Object.keys(request).find((name) => !Object.hasOwn(inputs, name));
    if (unknown) throw new BundleError(`no input '${unknown}' in this bundle; it takes ${namesOf(inputs)}`);
    const tensors = {};
    for (const [name, source] of Object.entries(inputs)) {
      const { kind, tensor } = source;
      if (kind === "picture") {
        tensors[tensor] = new ort.Tensor("float32", readPicture(request[name], name, source), [
          1, 3, source.size, source.size,
        ]);
        continue;
      }
      if (kind !== "text") {
        throw new BundleError(`input '${name}' is a ${kind}, and this client reads texts and pictures only`);
      }
      if (typeof request[name] !== "string") {
        throw new BundleError(`input '${name}' has to be a text, and is ${JSON.stringify(request[name]) ?? "missing"}`);
      }
      const ids = this.tokenizers[name].encode(request[name]);
      tensors[tensor] = new ort.Tensor("int64", ids, [1, ids.length]);
    }
    return tensors;
  }

  /**
   * All outputs of a stage by name, from tensors by name; those that are no input of it are left alone. Throws
   * BundleError that names the stages there are, or the tensors that are missing.
   */
  async runProgram(stage, tensors) {
    const session = await this.session(stage);
    const missing = session.inputNames.filter((name) => tensors[name] === undefined);
    if (missing.length) throw new BundleError(`stage '${stage}' takes ${missing.join(", ")}: not given`);
    return session.run(Object.fromEntries(session.inputNames.map((name) => [name, tensors[name]])));
  }

  /** Latents from the conditions of a stage of kind sample; `draws(k)`: its unit normal noise [1, ...latents]. */
  async sample(stage, tensors, draws, onStep) {
    const { inputs } = this.pipeline.stage(stage);
    const conditions = Object.fromEntries(
      inputs.filter(({ name }) => !FROM_HOST.includes(name)).map(({ name }) => [name, tensors[name]]),
    );
    const run = (taken) => this.runProgram(stage, taken);
    const { sampling } = this.pipeline.stage(stage);
    return sample(sampling, run, conditions, draws, (done, total) => onStep?.(done, total, stage));
  }

  /** {providers, reason}: what programs run on here, and why not on the target's first choice, empty where they do. */
  runsOn() {
    this.here ??= providersHere(this.manifest.target.session.providers);
    return this.here;
  }

  /** The opened program of a stage, opened once. Throws BundleError that names the stages there are. */
  session(stage) {
    const part = this.pipeline.stage(stage);
    if (!this.sessions.has(stage)) this.sessions.set(stage, this.openSession(part));
    return this.sessions.get(stage);
  }

  async openSession(part) {
    const program = await this.files.read(part.program);
    const externalData = [];
    for (const file of part.external_data) {
      externalData.push({ path: file.split("/").at(-1), data: await this.files.read(file) });
    }
    const { graph_optimization: graphOptimizationLevel, config } = this.manifest.target.session;
    const { providers } = await this.runsOn();
    try {
      const options = {
        executionProviders: providers, graphOptimizationLevel, externalData, extra: nested(config), logSeverityLevel: 3,
      };
      return await ort.InferenceSession.create(program, options);
    } catch (error) {
      throw new BundleError(
        `${part.program}: ONNX Runtime Web ${ort.env.versions.web} cannot open it: ${error.message}`,
      );
    }
  }

  /** Frees the memory of all opened programs. */
  async release() {
    for (const session of this.sessions.values()) await (await session).release();
    this.sessions.clear();
  }
}

/** {"session.a.b": "1"} as {session: {a: {b: "1"}}}, the form that ONNX Runtime Web takes config entries in. */
function nested(entries) {
  const root = {};
  for (const [key, value] of Object.entries(entries)) {
    const parts = key.split(".");
    let at = root;
    for (const part of parts.slice(0, -1)) at = at[part] ??= {};
    at[parts.at(-1)] = value;
  }
  return root;
}
