#!/usr/bin/env node
/**
 * Copies what the page imports of the npm packages: `node copy_packages.js [NODE_MODULES [FOLDER [PROVIDER]]]`.
 * `t3export build` does so where npm is; elsewhere `npm ci` in a bundle's client folder does.
 */

import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const own = (name) => fileURLToPath(new URL(name, import.meta.url));
const [from = own("node_modules"), to = own("packages"), provider = providerOf(own("../manifest.json"))] =
  process.argv.slice(2);
// Modules end in .js, for not every server knows what an .mjs is.
const RUNTIMES = {
  wasm: {
    "dist/ort.wasm.bundle.min.mjs": "onnxruntime-web.js",
    "dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
  },
  webgpu: {
    "dist/ort.webgpu.bundle.min.mjs": "onnxruntime-web.js",
    "dist/ort-wasm-simd-threaded.asyncify.wasm": "ort-wasm-simd-threaded.asyncify.wasm",
  },
};
const FILES = {
  "@huggingface/tokenizers": { "dist/tokenizers.min.mjs": "tokenizers.js", LICENSE: "tokenizers.LICENSE" },
  "onnxruntime-web": RUNTIMES[provider],
  three: {
    "build/three.module.min.js": "three.module.min.js",
    "build/three.core.min.js": "three.core.min.js",
    "examples/jsm/controls/OrbitControls.js": "OrbitControls.js",
    "examples/jsm/exporters/USDZExporter.js": "USDZExporter.js",
    "examples/jsm/libs/fflate.module.js": "fflate.module.js",
    LICENSE: "three.LICENSE",
  },
};

const { dependencies } = JSON.parse(readFileSync(own("package.json")));
for (const name of Object.keys(FILES)) {
  const { version } = JSON.parse(readFileSync(`${from}/${name}/package.json`));
  if (version !== dependencies[name]) {
    throw new Error(`${from}/${name} is version ${version}, and the page needs ${dependencies[name]}: run npm ci there`);
  }
}
mkdirSync(to, { recursive: true });
for (const [name, files] of Object.entries(FILES)) {
  for (const [file, copy] of Object.entries(files)) copyFileSync(`${from}/${name}/${file}`, `${to}/${copy}`);
}

/** What the programs of the bundle around the client are opened with first. */
function providerOf(manifest) {
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest)).target.session.providers[0] : "wasm";
}
