/**
 * Keeps the page and its bundle for when there is no network. The page's own files come from the network while there is
 * one; a bundle's programs, which are large, are kept until its manifest changes. Answers carry the headers of
 * cross-origin isolation, which threads need, whatever the server sends.
 */

const CLIENT = new URL("./", self.location).href;
const BUNDLE = new URL("../", self.location).href;
const MANIFEST = `${BUNDLE}manifest.json`;
const NAME = `t3export ${BUNDLE}`;

self.addEventListener("install", (event) => event.waitUntil(keepPage()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(BUNDLE)) event.respondWith(isolated(answer(event.request)));
});

/** Keeps every file of the client, with what came before this worker did. */
async function keepPage() {
  self.skipWaiting();
  const manifest = await fetch(MANIFEST, { cache: "no-cache" });
  const { files } = await manifest.clone().json();
  const cache = await caches.open(NAME);
  await keep(cache, MANIFEST, manifest);
  const names = Object.keys(files).filter((name) => name.startsWith("client/"));
  await cache.addAll(names.map((name) => new Request(BUNDLE + name, { cache: "no-cache" })));
}

async function answer(request) {
  const url = request.url.split("#")[0];
  const cache = await caches.open(NAME);
  const isProgram = !url.startsWith(CLIENT) && url !== MANIFEST;
  const kept = await cache.match(url);
  // A program that is not the manifest's, as after a visit during an upload, is asked for once more.
  if (isProgram && kept && request.cache !== "reload") return kept;
  let fresh;
  try {
    fresh = await fetch(url, { cache: isProgram ? "no-store" : "no-cache" });
  } catch (error) {
    const page = request.mode === "navigate" ? await cache.match(`${CLIENT}index.html`) : undefined;
    if (kept ?? page) return kept ?? page;
    throw error;
  }
  if (fresh.ok) await keep(cache, url, fresh.clone());
  return fresh;
}

async function keep(cache, url, fresh) {
  try {
    if (url === MANIFEST) await replaceManifest(cache, fresh);
    else await cache.put(url, fresh);
  } catch {
    // The storage is full: the page works, while there is a network.
  }
}

/** Another manifest is another bundle: what was kept of the former one's programs goes. */
async function replaceManifest(cache, manifest) {
  const [former, text] = [await cache.match(MANIFEST), await manifest.clone().text()];
  if (former && (await former.text()) !== text) {
    for (const request of await cache.keys()) if (!request.url.startsWith(CLIENT)) await cache.delete(request);
  }
  await cache.put(MANIFEST, manifest);
}

async function isolated(answering) {
  const given = await answering;
  const headers = new Headers(given.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(given.body, { status: given.status, statusText: given.statusText, headers });
}
