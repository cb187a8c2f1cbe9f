"""TripoSR (Tochilkin et al., arXiv 2403.02151)."""

# Known without loading anything: a layer's name begins with its stage's.
STAGES = ("image_encoder", "backbone", "field", "renderer")
# Those that run at points and rays of an object, whose inputs calibration does not record.
UNCALIBRATED = ("field", "renderer")
PARTS = ("inputs", "encode", "map", "field", "render", "mesh", "image")
# The weights that it takes, for the end of a message about others.
WEIGHTS = (
    "give a folder with TripoSR's config.yaml and model.ckpt or model.safetensors, the small trained model "
    "'triposr-mini', or random weights 'random:triposr'"
)
