"""Point-E (Nichol et al., arXiv 2212.08751)."""

# Known without loading anything: a layer's name begins with its stage's. A model has those that its files are for.
STAGES = (
    "text_encoder",
    "image_encoder",
    "base",
    "base_points",
    "upsampler",
    "cloud",
    "cloud_encoder",
    "field",
)
# Only the files tell: a model may take texts, pictures or nothing, and have no mesh.
PARTS = None
# It runs at points of an object, whose inputs calibration does not record.
UNCALIBRATED = ("field",)
# The weights that it takes, for the end of a message about others.
WEIGHTS = (
    "give one of OpenAI's files, such as base_40m_textvec.pt, with upsample_40m.pt, sdf.pt and CLIP (the folder "
    "clip-vit-large-patch14, as openai/clip-vit-large-patch14 is on the hub) beside it, the small trained models "
    "'point-e-mini' and 'point-e-mini-image', or random weights 'random:point-e-40m-text'"
)
