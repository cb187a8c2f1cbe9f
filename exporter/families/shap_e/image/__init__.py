"""Shap-E from a picture (Jun and Nichol, arXiv 2305.02463)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("image_encoder", "denoiser", "projector", "field", "renderer")
PARTS = ("inputs", "encode", "sample", "map", "field", "render", "mesh", "image")
UNCALIBRATED = ("field", "renderer")
