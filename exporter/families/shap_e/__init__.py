"""Shap-E (Jun and Nichol, arXiv 2305.02463)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("text_encoder", "denoiser", "projector", "field", "renderer")
# Those that run at points and rays of an object, whose inputs calibration does not record.
UNCALIBRATED = ("field", "renderer")
PARTS = ("inputs", "text", "encode", "sample", "map", "field", "render", "mesh", "image")
# The weights that it takes, for the end of a message about others.
WEIGHTS = (
    "give a local folder in the hub's layout, the small trained model 'shap-e-mini', or random weights "
    "'random:shap-e-300m'"
)
