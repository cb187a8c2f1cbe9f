/** ONNX Runtime Web as this bundle runs it: on WebAssembly. A bundle for WebGPU has runtime_webgpu.js in this place. */

export const named = () => import("onnxruntime-web");
