"""TripoSR (Tochilkin et al., arXiv 2403.02151)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("image_encoder", "backbone", "field", "renderer")
PARTS = ("inputs", "encode", "map", "field", "render", "mesh", "image")
