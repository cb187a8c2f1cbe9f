/** Prompts to token ids, as exporter/runtime/inputs/tokenizer.py gives them. */

import { Tokenizer } from "./packages.js";

import { Cleaner } from "./cleaning.js";

export class PromptTokenizer {
  /**
   * `json`: the parsed tokenizer file. `contextLength`: begin and end included. `padId` fills the rest. `cleaning`: the
   * tables of a model whose prompts are cleaned first.
   */
  constructor(json, contextLength, padId, cleaning) {
    this.cleaner = cleaning && new Cleaner(cleaning);
    this.tokenizer = new Tokenizer(json, {});
    this.contextLength = contextLength;
    this.padId = padId;
    this.lowercases = JSON.stringify(json.normalizer ?? null).includes('"Lowercase"');
  }

  /** Token ids of one prompt as a BigInt64Array [contextLength]; a longer prompt is cut, its end token kept. */
  encode(prompt) {
    const read = this.cleaner ? this.cleaner.clean(prompt) : prompt;
    const { ids } = this.tokenizer.encode(this.lowercases ? lowerSigma(read) : read);
    const kept = ids.length > this.contextLength ? [...ids.slice(0, this.contextLength - 1), ids.at(-1)] : ids;
    return BigInt64Array.from({ length: this.contextLength }, (_, i) => BigInt(kept[i] ?? this.padId));
  }
}

/** JavaScript lowers a final Σ to ς; the tokenizers library, which goes letter by letter, to σ. */
function lowerSigma(prompt) {
  return prompt.replaceAll("Σ", "σ");
}
