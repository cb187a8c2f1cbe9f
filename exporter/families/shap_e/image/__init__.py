"""Shap-E from a picture (Jun and Nichol, arXiv 2305.02463)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("image_encoder", "denoiser", "projector", "field", "renderer")
PARTS = ("inputs", "encode", "sample", "map", "field", "render", "mesh", "image")
UNCALIBRATED = ("field", "renderer")
# The weights that it takes, for the end of a message about others.
WEIGHTS = (
    "give a local folder in the hub's layout, the small trained model 'shap-e-mini-image', or random weights "
    "'random:shap-e-image-300m'"
)
