import os

# Before ONNX Runtime is first imported, which from version 1.29 on sends events to its makers otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
