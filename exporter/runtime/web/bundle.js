/** An opened bundle: prompts to latents to a field to a mesh, with the programs on ONNX Runtime Web. */

import * as ort from "onnxruntime-web";

import { BundleError, BundleFiles } from "./files.js";
import { sampleGrid } from "./grid.js";
import { marchingCubes } from "./marching_cubes.js";
import { noise } from "./noise.js";
import { PromptTokenizer } from "./tokenizer.js";
import { chosenGrid, requireExact, requirePrompt } from "./values.js";

const POINTS_AT_ONCE = 4096;

export class WebBundle {
  constructor(files, tokenizer) {
    this.files = files;
    this.manifest = files.manifest;
    this.tokenizer = tokenizer;
    this.sessions = new Map();
  }

  /** A bundle folder by its URL or, in Node.js, its path. Throws BundleError for a damaged one. */
  static async open(location) {
    const files = await BundleFiles.open(location);
    const { target, tokenizer } = files.manifest;
    if (target.backend !== "onnxruntime-web") {
      throw new BundleError(`${location}: built for '${target.name}'; build it with --target web`);
    }
    if (target.session.threads) ort.env.wasm.numThreads = target.session.threads;
    const json = JSON.parse(new TextDecoder().decode(await files.read(tokenizer.file)));
    return new WebBundle(files, new PromptTokenizer(json, tokenizer.context_length, tokenizer.pad_id));
  }

  /**
   * The mesh of one prompt: {vertices [V * 3], faces [F * 3], colors [V * 3]}, empty where the field is. A seed gives the
   * same noise as everywhere. `quality`, "draft", "normal" or "fine", stands for a grid of 64, 128 or 256.
   * `onStep(done, total)` is told of every evaluation. Throws RangeError for a value that values.js does not take, before
   * any program runs.
   */
  async generate(prompt, { seed = 0, grid, quality, exact, onStep } = {}) {
    const chosen = { grid: chosenGrid(grid, quality), exact: requireExact(exact) };
    const start = this.noise(seed);
    const latents = await this.sample(await this.encode(requirePrompt(prompt)), start, onStep);
    return this.mesh(latents, chosen);
  }

  /** The unit noise [1, N, D] that one object starts from. */
  noise(seed) {
    const shape = this.manifest.sampler.latent_shape;
    return new ort.Tensor("float32", noise(seed, shape[0] * shape[1]), [1, ...shape]);
  }

  /** A prompt to its embedding [1, E]. */
  async encode(prompt) {
    const ids = this.tokenizer.encode(prompt);
    const { embedding } = await this.run("text_encoder", { input_ids: new ort.Tensor("int64", ids, [1, ids.length]) });
    return embedding;
  }

  /** An embedding [1, E] and unit noise [1, N, D] to latents [1, N, D]. */
  async sample(embedding, unitNoise, onStep) {
    const { evaluations, init_noise_sigma: sigma, unroll } = this.manifest.sampler;
    const dims = unitNoise.dims;
    let sample = new ort.Tensor(
      "float32",
      unitNoise.data.map((value) => value * Math.fround(sigma)),
      dims,
    );
    if (unroll !== "step") return (await this.run("sampler", { sample, embedding })).latents;
    let previous_sample = new ort.Tensor("float32", new Float32Array(sample.size), dims);
    let previous_prediction = previous_sample;
    for (let i = 0; i < evaluations; i++) {
      const step = new ort.Tensor("int64", BigInt64Array.of(BigInt(i)), []);
      const state = { sample, previous_sample, previous_prediction, embedding, step };
      const found = await this.run("denoiser", state);
      [previous_sample, previous_prediction, sample] = [sample, found.prediction, found.next_sample];
      onStep?.(i + 1, evaluations);
    }
    return sample;
  }

  /** What the field needs of latents [1, N, D]: the latents beside everything projected from them. */
  async project(latents) {
    const projected = "projector" in this.manifest.stages ? await this.run("projector", { latents }) : {};
    return { latents, ...projected };
  }

  /** Points [P * 3] to {distances [P], positive inside, colors [P * 3], sRGB}; `context` comes from `project`. */
  async field(points, context) {
    const count = points.length / 3;
    const distances = new Float32Array(count);
    const colors = new Float32Array(points.length);
    for (let start = 0; start < count; start += POINTS_AT_ONCE) {
      const part = points.subarray(start * 3, (start + POINTS_AT_ONCE) * 3);
      const asked = new ort.Tensor("float32", part, [1, part.length / 3, 3]);
      const found = await this.run("field", { ...context, points: asked });
      distances.set(found.signed_distance.data, start);
      colors.set(found.color.data, start * 3);
    }
    return { distances, colors };
  }

  /** {values [grid³], points}: signed distances on the lattice of the mesh, and how many of them were asked. */
  async grid(latents, { grid, exact } = {}) {
    return this.sampled(await this.project(latents), grid, exact);
  }

  /** The mesh of one object's latents [1, N, D]. */
  async mesh(latents, { grid, exact } = {}) {
    const size = chosenGrid(grid) ?? this.manifest.mesh.grid;
    const context = await this.project(latents);
    const { values } = await this.sampled(context, size, exact);
    const { vertices, faces } = marchingCubes(values, size);
    const inside = vertices.map((value) => Math.min(1, Math.max(-1, value)));
    const { colors } = await this.field(inside, context);
    return { vertices, faces, colors: colors.map((value) => Math.min(1, Math.max(0, value))) };
  }

  sampled(context, grid, exact) {
    const { mesh } = this.manifest;
    return sampleGrid(
      async (points) => (await this.field(points, context)).distances,
      chosenGrid(grid) ?? mesh.grid,
      requireExact(exact) ?? mesh.extraction === "exact",
    );
  }

  /** All outputs of a stage by name, from tensors by name; those that are no input of it are left alone. */
  async run(stage, tensors) {
    const session = await this.session(stage);
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensors[name]]));
    return session.run(feeds);
  }

  /** The opened program of a stage, opened once. Throws BundleError that names the stages there are. */
  session(stage) {
    const part = this.manifest.stages[stage];
    if (!part) {
      throw new BundleError(
        `no stage '${stage}' in this bundle; it has ${Object.keys(this.manifest.stages).join(", ")}`,
      );
    }
    if (!this.sessions.has(stage)) this.sessions.set(stage, this.openSession(part));
    return this.sessions.get(stage);
  }

  async openSession(part) {
    const program = await this.files.read(part.program);
    const externalData = [];
    for (const file of part.external_data) {
      externalData.push({ path: file.split("/").at(-1), data: await this.files.read(file) });
    }
    const { providers, graph_optimization: graphOptimizationLevel, config } = this.manifest.target.session;
    try {
      const options = { executionProviders: providers, graphOptimizationLevel, externalData, extra: nested(config) };
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
