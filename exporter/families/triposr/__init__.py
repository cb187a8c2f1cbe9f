"""TripoSR (Tochilkin et al., arXiv 2403.02151)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("image_encoder", "backbone", "field", "renderer")
# Those that run at points and rays of an object, whose inputs calibration does not record.
UNCALIBRATED = ("field", "renderer")
PARTS = ("inputs", "encode", "map", "field", "render", "mesh", "image")
