/** The memory of WebAssembly: ONNX Runtime Web asks for one, in which programs and tensors lie, and which only grows. */

const memories = [];

WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(Memory, [descriptor]) {
    const memory = new Memory(descriptor);
    memories.push(memory);
    return memory;
  },
});

/** Bytes of all that was asked for since this module was imported. */
export function takenMemory() {
  return memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}
