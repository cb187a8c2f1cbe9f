/** The service worker that keeps the page for when there is no network, and why the page has one thread where it has. */

const LONGEST_WAIT = 10_000;

/** Resolves when the service worker sees what the page loads, or when there is none. */
export async function keepForLater() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  const seen = workers.controller || new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
  try {
    await workers.register(new URL("../service_worker.js", import.meta.url));
    await Promise.race([seen, new Promise((resolve) => setTimeout(resolve, LONGEST_WAIT))]);
  } catch {
    // Private windows have none: the page works, while there is a network.
  }
}

/** Why there is one thread; empty where there may be more. */
export function whyOneThread() {
  if (globalThis.crossOriginIsolated) return "";
  const reason = "It runs on one thread, and slower than it could: the page is not cross-origin isolated.";
  const mend = navigator.serviceWorker?.controller
    ? "Load the page again: it isolates itself from its second visit on."
    : "`t3export serve` sends the headers for it.";
  return `${reason} ${mend}`;
}
