"""Shap-E (Jun and Nichol, arXiv 2305.02463)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("text_encoder", "denoiser", "projector", "field", "renderer")
# Those that run at points and rays of an object, whose inputs calibration does not record.
UNCALIBRATED = ("field", "renderer")
PARTS = ("inputs", "text", "encode", "sample", "map", "field", "render", "mesh", "image")
