/**
 * The packages that the client imports: by name where Node.js, a bundler or an import map finds them, else, in a browser,
 * their copies in packages/. A worker has no import map.
 */

import { named } from "./runtime.js";

export const ort = await named().catch(copyOf(() => import("./packages/onnxruntime-web.js")));
export const { Tokenizer } = await import("@huggingface/tokenizers").catch(copyOf(() => import("./packages/tokenizers.js")));

function copyOf(load) {
  return async (error) => {
    try {
      if (!globalThis.process?.versions?.node) return await load();
    } catch {
      // The copies are not there either.
    }
    throw new Error(`${error.message}: run \`npm ci\` in the bundle's folder client/, then try again`);
  };
}
