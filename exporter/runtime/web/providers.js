/** Where programs run here, of what a target asks for, and why not where it would rather. */

/** {providers, reason}: `reason` is empty where the first of `wanted` is here. */
export async function providersHere(wanted) {
  const reason = wanted.includes("webgpu") ? await whyNoWebGpu(globalThis.navigator?.gpu) : "";
  return { providers: reason ? wanted.filter((name) => name !== "webgpu") : wanted, reason };
}

async function whyNoWebGpu(gpu) {
  if (globalThis.process?.versions?.node) return "Node.js has no WebGPU";
  if (!gpu) {
    return globalThis.isSecureContext ? "this browser has no WebGPU" : "WebGPU needs a page from https or from this device";
  }
  return (await gpu.requestAdapter()) ? "" : "WebGPU finds no graphics processor that it may use";
}
