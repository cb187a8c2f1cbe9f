/** ONNX Runtime Web as this bundle runs it: on WebGPU, in a browser. */

export const named = () =>
  globalThis.process?.versions?.node ? import("onnxruntime-web") : import("onnxruntime-web/webgpu");
