"""The files of the small trained Point-Es: networks of their own, text tower and tokenizer of the small Shap-E."""

from __future__ import annotations

from exporter.errors import WeightsError
from exporter.families.part_files import Needed, find_parts
from exporter.families.point_e.network_file import NetworkFile, read_network_file, whose
from exporter.families.point_e.network_files import PublishedFiles
from exporter.recipe.weights_name import ZOO

ZOO_MODELS = {
    "point-e-mini": ("point_e_mini", "point_e_mini_image", "shap_e_mini"),
    "point-e-mini-image": ("point_e_mini_image", "point_e_mini", "shap_e_mini"),
}
"""The folders that each takes its parts from: the first that has one. Written by `python -m training point-e`."""
POINTS = (256, 768)
BASE, UPSAMPLER, DISTANCE = "base.safetensors", "upsampler.safetensors", "sdf.safetensors"
CLIP_PARTS = {
    "text_encoder": Needed(files=(("config.json",),)),
    "tokenizer": Needed(files=(("tokenizer.json",),), optional=("tokenizer_config.json",), tensors=False),
    "image_encoder": Needed(files=(("config.json",),)),
}


def is_of_zoo(weights: str) -> bool:
    """Whether these weights are the name of a model of the zoo that is there."""
    return weights in ZOO_MODELS and all((ZOO / folder).is_dir() for folder in ZOO_MODELS[weights])


def find_of_zoo(weights: str) -> PublishedFiles:
    """The files of a model of the zoo, by its name. Raises WeightsError where one is missing."""
    base, upsampler, distance = (_network(weights, name) for name in (BASE, UPSAMPLER, DISTANCE))
    clip = find_parts(weights, ZOO_MODELS, CLIP_PARTS)
    return PublishedFiles(base, upsampler, distance, clip.parts, POINTS)


def _network(weights: str, name: str) -> NetworkFile:
    folders = [ZOO / folder for folder in ZOO_MODELS[weights]]
    path = next((folder / name for folder in folders if (folder / name).exists()), folders[0] / name)
    network = read_network_file(path)
    if network is None:
        raise WeightsError(f"{path}: not Point-E's: {whose(path)}; write it anew: python -m training point-e")
    return network
