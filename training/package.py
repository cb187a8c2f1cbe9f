"""Writes the trained parts as the shipped model: a diffusers pipeline folder, the judge as a CLIP folder, and the
prompts.
"""

import json
import math
import shutil
from pathlib import Path

import yaml
from diffusers import PriorTransformer, ShapEPipeline
from diffusers.pipelines.shap_e.renderer import ShapERenderer
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPModel, CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModel

from exporter.families.shap_e.mesh_tables import mesh_tables
from training.captions import make_tokenizer, write_prompts
from training.clip import MEAN, STD
from training.config import Config
from training.prior import make_scheduler
from training.reconstructor import released_config
from training.trajectories import student_scheduler

ZOO = Path(__file__).parent.parent / "exporter" / "zoo"
STUDENT = "shap_e_mini_4step"
RECONSTRUCTOR, WEIGHTS = "triposr_mini", "model.safetensors"
IMAGE = "shap_e_mini_image"
CARD = "README.md"
SIZE_LIMIT = 40 * 2**20


def text_tower(clip: CLIPModel) -> CLIPTextModelWithProjection:
    """The text half of a CLIP, as Shap-E's pipeline holds it."""
    config = clip.config.text_config
    config.projection_dim = clip.config.projection_dim
    tower = CLIPTextModelWithProjection(config)
    wanted = tower.state_dict()
    tower.load_state_dict({key: value for key, value in clip.state_dict().items() if key in wanted})
    return tower


def write_generator(prior: PriorTransformer, clip: CLIPModel, renderer: ShapERenderer, folder: Path) -> None:
    """The pipeline that `ShapEPipeline.from_pretrained(folder)` loads, weights in half precision."""
    cases, masks = mesh_tables()
    renderer.mesh_decoder.cases.copy_(cases)
    renderer.mesh_decoder.masks.copy_(masks)
    nn.init.ones_(prior.clip_std)
    pipeline = ShapEPipeline(
        prior=prior.cpu().half(),
        text_encoder=text_tower(clip.cpu()).half(),
        tokenizer=make_tokenizer(),
        scheduler=make_scheduler(),
        shap_e_renderer=renderer.cpu().half(),
    )

    def write(target: Path) -> None:
        pipeline.save_pretrained(target)
        compute_in_float32(target / "text_encoder" / "config.json")

    replace_folder(folder, write)


def write_evaluator(judge: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:

    def write(target: Path) -> None:
        judge.cpu().half().save_pretrained(target)
        compute_in_float32(target / "config.json")
        tokenizer.save_pretrained(target)
        write_preprocessing(judge.config.vision_config.image_size, target)

    replace_folder(folder, write)


def write_preprocessing(size: int, folder: Path) -> None:
    """CLIP's, for pictures of `size` pixels."""
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": size}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": size, "width": size},
        "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": MEAN, "image_std": STD, "do_convert_rgb": True,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing, indent=2) + "\n")


def compute_in_float32(config: Path) -> None:
    """transformers would compute in the dtype it stored; diffusers computes in float32, and the two meet in one
    pipeline.
    """
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2) + "\n")


def replace_folder(folder: Path, write) -> None:
    temporary = folder.with_name(folder.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    write(temporary)
    for file in temporary.rglob("*.safetensors"):
        file.chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def replace_keeping_card(folder: Path, write) -> None:
    """`write(folder)` anew, all that was there gone but for its card."""
    card = folder / CARD
    kept = card.read_bytes() if card.exists() else None

    def write_with_card(target: Path) -> None:
        write(target)
        if kept is not None:
            (target / CARD).write_bytes(kept)

    replace_folder(folder, write_with_card)


def package(
    autoencoder: nn.Module, conditioner: CLIPModel, judge: CLIPModel, prior: PriorTransformer, zoo: Path = ZOO
) -> int:
    """Writes the model, its judge and the prompts under `zoo`; the size of all of it in bytes."""
    write_generator(prior, conditioner, autoencoder.renderer, zoo / "shap_e_mini")
    write_evaluator(judge, make_tokenizer(), zoo / "shap_e_mini_evaluator")
    write_prompts(zoo / "prompts.json")
    return checked_size(zoo)


def package_prior(prior: PriorTransformer, zoo: Path = ZOO) -> int:
    """Writes another prior into the packaged text model; the size of all of `zoo` in bytes."""
    replace_folder(zoo / "shap_e_mini" / "prior", prior.cpu().half().save_pretrained)
    return checked_size(zoo)


def package_student(prior: PriorTransformer, horizon: int, zoo: Path = ZOO) -> int:
    """Writes what a student has of its own, prior and scheduler, under `zoo`; the size of all of `zoo` in bytes."""

    def write(target: Path) -> None:
        prior.cpu().half().save_pretrained(target / "prior")
        student_scheduler(horizon).save_pretrained(target / "scheduler")

    replace_keeping_card(zoo / STUDENT, write)
    return checked_size(zoo)


def package_reconstructor(model: nn.Module, config: Config, zoo: Path = ZOO) -> int:
    """Writes TripoSR's small model under `zoo` in the released layout, its card kept; the size of all of `zoo` in
    bytes."""

    def write(target: Path) -> None:
        target.mkdir()
        settings = released_config(config.reconstructor, config.views)
        (target / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, target / WEIGHTS)

    replace_keeping_card(zoo / RECONSTRUCTOR, write)
    return checked_size(zoo)


def package_image(tower: CLIPVisionModel, prior: PriorTransformer, zoo: Path = ZOO) -> int:
    """Writes what the model that takes a picture has of its own under `zoo`, its card kept; the size of all of `zoo` in
    bytes."""

    def write(target: Path) -> None:
        prior.cpu().half().save_pretrained(target / "prior")
        tower.cpu().half().save_pretrained(target / "image_encoder")
        compute_in_float32(target / "image_encoder" / "config.json")
        (target / "image_processor").mkdir()
        write_preprocessing(tower.config.image_size, target / "image_processor")

    replace_keeping_card(zoo / IMAGE, write)
    return checked_size(zoo)


def checked_size(zoo: Path) -> int:
    """Bytes under `zoo`; over SIZE_LIMIT is an error."""
    size = sum(file.stat().st_size for file in zoo.rglob("*") if file.is_file())
    if size > SIZE_LIMIT:
        raise ValueError(
            f"The packaged model is {math.ceil(size / 2**20)} MiB, over the limit of {SIZE_LIMIT >> 20} MiB."
        )
    return size
