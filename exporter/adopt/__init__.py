"""Bundles of ONNX programs that somebody else exported: described as data, judged against their own float files."""
