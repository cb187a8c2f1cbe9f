/** Opens the bundle and makes things with it in a thread of its own; the page hears of it by messages of a `kind`. */

import { chosenGrid, requirePrompt } from "../values.js";
import { takenMemory } from "./memory.js";
import { isShown } from "./shown.js";
import { knownWords } from "./words.js";

const opening = open();
const WORK = { make, check, stop: (opened, request, { tell }) => tell("stopped") };
let current = new AbortController();
let working = Promise.resolve();

// A request ends the one before it, and begins when that has ended.
self.onmessage = ({ data }) => {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  working = working.then(() => perform(data, signal));
};

async function perform({ kind: asked, id, ...request }, signal) {
  const opened = await opening;
  if (!opened) return;
  const tell = (kind, more, transfer) => signal.aborted || postMessage({ kind, id, ...more }, transfer);
  try {
    signal.throwIfAborted();
    await WORK[asked](opened, request, { signal, tell });
  } catch (error) {
    tell("failed", { message: error.message });
  }
}

/** {client, bundle} with its programs; undefined where it cannot be opened, which the page has heard then. */
async function open() {
  try {
    // Imported late, for ONNX Runtime Web has to ask for its memory after memory.js counts it.
    const client = { ...(await import("../index.js")), ...(await import("../packages.js")) };
    const bundle = await client.WebBundle.open(new URL("../..", import.meta.url));
    postMessage({ kind: "opened", manifest: bundle.manifest, words: await wordsOf(bundle) });
    await load(bundle);
    postMessage({ kind: "loaded", where: await bundle.runsOn() });
    return { client, bundle };
  } catch (error) {
    postMessage({ kind: "failed", message: error.message });
  }
}

async function wordsOf({ files, manifest }) {
  const texts = Object.values(manifest.inputs).filter(({ kind }) => kind === "text");
  const read = async ({ file }) => knownWords(JSON.parse(new TextDecoder().decode(await files.read(file))));
  return (await Promise.all(texts.map(read))).flat();
}

/** Opens the programs while the user is typing still, and so that all of them are there without a network. */
async function load(bundle) {
  const assets = Object.values(bundle.manifest.assets).filter(isShown);
  const stages = [...new Set(assets.flatMap(({ kind }) => bundle.pipeline.stagesOf(kind)))];
  for (const [done, stage] of stages.entries()) {
    postMessage({ kind: "loading", stage, done, total: stages.length });
    await bundle.session(stage);
  }
}

/** Holds the programs to what they made where the bundle was built. */
async function check({ client, bundle }, request, { signal, tell }) {
  tell("checked", { found: await client.verify(bundle, { signal }) });
}

/** One thing for each of `seeds`. `request`: a text or a file by the name of an input; `others`: the same by set. */
async function make({ client, bundle }, { asset, request, others, seeds, quality }, { signal, tell }) {
  const given = await read(request, client);
  for (const seed of seeds) {
    const begun = performance.now();
    const run = bundle.make(given, { seed, others, signal, onStep: counted(bundle.pipeline, asset, tell) });
    const made = await taken(client, asset, run, quality);
    const cost = {
      seconds: (performance.now() - begun) / 1000,
      threads: client.ort.env.wasm.numThreads,
      memory: takenMemory(),
    };
    const arrays = Object.values(made).filter(ArrayBuffer.isView);
    tell("made", { seed, asset, made, cost }, arrays.map(({ buffer }) => buffer));
  }
  tell("finished");
}

/** Texts that say something, and pictures as they are decoded. */
async function read(request, { pictureOf }) {
  const decoded = async ([name, one]) => [name, typeof one === "string" ? requirePrompt(one) : await pictureOf(one)];
  return Object.fromEntries(await Promise.all(Object.entries(request).map(decoded)));
}

function taken({ imageOf, meshOf, pointsOf }, asset, run, quality) {
  if (asset === "mesh") return meshOf(run, { grid: chosenGrid(undefined, quality || undefined) });
  return asset === "points" ? pointsOf(run) : imageOf(run);
}

/** Tells of the evaluations of all samplers that an asset needs, counted together. */
function counted(pipeline, asset, tell) {
  const samplers = pipeline.stagesOf(asset).filter((name) => pipeline.stage(name).sampling);
  const counts = samplers.map((name) => pipeline.stage(name).sampling.evaluations);
  const sum = (some) => some.reduce((total, count) => total + count, 0);
  return (done, _, stage) => {
    tell("step", { done: sum(counts.slice(0, samplers.indexOf(stage))) + done, total: sum(counts) });
  };
}
