/** The files of a bundle, each compared with its digest in the manifest before anything reads it. */

import { canonicalJson } from "./canonical_json.js";
import { BundleError } from "./errors.js";

const SCHEMA_VERSION = 2;

export class BundleFiles {
  constructor(base, manifest) {
    this.base = base;
    this.manifest = manifest;
  }

  /** A bundle folder by its URL or, in Node.js, its path. Throws BundleError for what is no bundle. */
  static async open(location) {
    const base = await folderUrl(location);
    const text = new TextDecoder().decode(await readUrl(new URL("manifest.json", base)));
    let manifest;
    try {
      manifest = JSON.parse(text);
    } catch (error) {
      throw new BundleError(`${base}manifest.json: damaged (${error.message}); build the bundle again`);
    }
    if (manifest.schema_version !== SCHEMA_VERSION) {
      throw new BundleError(
        `${base}manifest.json: schema version ${manifest.schema_version}; this client reads version ${SCHEMA_VERSION}. ` +
          "Build the bundle again: the client that fits comes with it",
      );
    }
    if ((await checksum(text)) !== manifest.checksum) {
      throw new BundleError(
        `${base}manifest.json: damaged or edited: its checksum does not fit; build or copy the bundle again`,
      );
    }
    return new BundleFiles(base, manifest);
  }

  /** The bytes of a listed file. Throws BundleError when it is missing, or not the file that was built. */
  async read(path) {
    const expected = this.manifest.files[path];
    if (!expected) throw new BundleError(`${this.base}${path}: not listed in the manifest`);
    // A cache of the browser may hold a file of what stood here before.
    for (const cache of ["default", "reload"]) {
      const bytes = await readUrl(new URL(path, this.base), cache);
      if (bytes.length === expected.size && (await sha256(bytes)) === expected.sha256) return bytes;
    }
    throw new BundleError(`${this.base}${path}: changed (its sha256 is not the manifest's); build or copy it again`);
  }
}

/** What a manifest's `checksum` has to be: the digest of all its other fields. */
async function checksum(text) {
  return sha256(new TextEncoder().encode(canonicalJson(text, ["checksum"])));
}

async function folderUrl(location) {
  const text = String(location).replace(/\/*$/, "/");
  if (/^[a-z][a-z0-9+.-]+:/i.test(text)) return new URL(text);
  if (globalThis.document) return new URL(text, document.baseURI);
  const { pathToFileURL } = await import("node:url");
  return new URL(`${pathToFileURL(text).href.replace(/\/*$/, "/")}`);
}

async function readUrl(url, cache) {
  try {
    if (url.protocol === "file:") {
      const { readFile } = await import("node:fs/promises");
      return new Uint8Array(await readFile(url));
    }
    const answer = await fetch(url, { cache });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    return new Uint8Array(await answer.arrayBuffer());
  } catch (error) {
    throw new BundleError(`${url}: cannot be read (${error.message})`);
  }
}

async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new BundleError(
      "digests cannot be computed here: a browser offers them to pages from https or localhost only",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
