/** Throws a signal's reason where work is to end: programs run without a turn of the event loop between them. */
export async function goOn(signal) {
  if (!signal) return;
  await turn();
  signal.throwIfAborted();
}

/** A turn of the event loop, in which a worker hears its messages; timers would take 4 ms for each. */
function turn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
