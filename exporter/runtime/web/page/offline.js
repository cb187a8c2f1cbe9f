/** The service worker that keeps the page for when there is no network, and why the page has one thread where it has. */

const LONGEST_WAIT = 10_000;

/** Resolves when the service worker sees what the page loads, or when there is none. */
export async function keepForLater() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  try {
    const registration = await workers.register(new URL("../service_worker.js", import.meta.url));
    if (!workers.controller) await controlled(workers, registration);
  } catch {
    // Private windows have none: the page works, while there is a network.
  }
}

/** Waits for a worker that is on its way; one that is active already leaves a page alone that was loaded past it. */
function controlled(workers, { installing, waiting, active }) {
  const coming = installing ?? waiting ?? active;
  return new Promise((resolve) => {
    if (!coming || coming.state === "activated") return resolve();
    workers.addEventListener("controllerchange", resolve, { once: true });
    coming.addEventListener("statechange", () => coming.state === "redundant" && resolve());
    setTimeout(resolve, LONGEST_WAIT);
  });
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
