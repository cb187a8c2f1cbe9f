#!/usr/bin/env node
/** Holds every program of a bundle to its goldens: `node verify.js [BUNDLE]`. Exit code 5 when one misses. */

import { fileURLToPath } from "node:url";

import { WebBundle } from "./bundle.js";
import { verify } from "./goldens.js";
import { ort } from "./packages.js";

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
