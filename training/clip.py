"""Two small CLIPs (Radford et al. 2021): one conditions the prior, the other, of another width and seed, judges what
the prior makes.

A caption that leaves something open is true of many pictures of a batch. Those are neither pulled together nor pushed
apart: only the pairs that a caption contradicts count as negatives.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTextModelWithProjection

from training.captions import CONTEXT_LENGTH
from training.config import ClipConfig
from training.data import Dataset
from training.loop import DEVICE, Draw, fit, mixed_precision
from training.objects import COLORS, FORMS, SHAPE_NAMES

MEAN = (0.48145466, 0.4578275, 0.40821073)
LONGEST = 12  # tokens of the grammar's longest caption; padding after it changes nothing and is not computed
STD = (0.26862954, 0.26130258, 0.27577711)


def make_clip(config: ClipConfig, vocabulary: int, image_size: int) -> CLIPModel:
    shared = {"num_attention_heads": config.heads, "projection_dim": config.projection}
    return CLIPModel(
        CLIPConfig(
            text_config={
                "vocab_size": vocabulary, "hidden_size": config.text_width, "intermediate_size": 4 * config.text_width,
                "num_hidden_layers": config.text_layers, "max_position_embeddings": CONTEXT_LENGTH,
                "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": 0, **shared,
            },
            vision_config={
                "hidden_size": config.vision_width, "intermediate_size": 4 * config.vision_width,
                "num_hidden_layers": config.vision_layers, "image_size": image_size, "patch_size": 8, **shared,
            },
            projection_dim=config.projection,
        )
    )  # fmt: skip


def normalise(images: Tensor) -> Tensor:
    """u8 [B, S, S, 3] -> f32 [B, 3, S, S] as CLIP takes it."""
    mean, std = (torch.tensor(v, device=images.device) for v in (MEAN, STD))
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def on_plain_backgrounds(images: Tensor, draw: Draw) -> Tensor:
    """u8 [B, S, S, 3]: half of the pictures stay on white, the others get one colour each. No object is white."""
    background = torch.where(draw.uniform(len(images), 1) < 0.5, 255, draw.integers(256, len(images), 3))
    empty = (images == 255).all(-1, keepdim=True)
    return torch.where(empty, background[:, None, None].to(torch.uint8), images)


def roughen(images: Tensor, draw: Draw, shift: int) -> Tensor:
    """What a render of a mesh may have that the training pictures have not, and left may be right."""
    return smudge(torch.where(draw.uniform(len(images), 1, 1, 1) < 0.5, images, images.flip(3)), draw, shift)


def smudge(images: Tensor, draw: Draw, shift: int) -> Tensor:
    """Soft edges, noise, a shift by pixels."""
    soft = F.avg_pool2d(F.pad(images, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
    images = torch.lerp(images, soft, draw.uniform(len(images), 1, 1, 1))
    right, down = (draw.integers(2 * shift + 1, 2) - shift).tolist()
    return torch.roll(images, (right, down), (2, 3)) + 0.04 * draw.normal(*images.shape)


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, fits: Tensor) -> Tensor:
    """Normalised embeddings of images [B, D] and texts [B + M, D], of which the first B are the images' own captions.

    fits [B + M, B] says which captions are true of which image: true ones besides the own are left out.
    """
    logits = scale.clamp(max=4.6).exp() * texts @ images.T
    own = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(fits & ~own, float("-inf"))
    label = torch.arange(len(images), device=logits.device)
    return (F.cross_entropy(logits[: len(images)], label) + F.cross_entropy(logits.T, label)) / 2


def captions_by_shape(data: Dataset) -> tuple[Tensor, Tensor]:
    """Captions that are true of some object of a shape [shapes, most], padded, and how many there are [shapes]."""
    shape = data.parameters[:, : len(SHAPE_NAMES)].argmax(1)
    lists = [data.fits[:, shape == s].any(1).nonzero()[:, 0] for s in range(len(SHAPE_NAMES))]
    return torch.nn.utils.rnn.pad_sequence(lists, batch_first=True), torch.tensor(
        [len(x) for x in lists], device=DEVICE
    )


class Pupil(nn.Module):
    """A CLIP that is also asked, from its picture alone, for each attribute; the questions are not kept."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        width = clip.config.projection_dim
        sizes = {"shape": len(SHAPE_NAMES), "form": len(FORMS), "color": len(COLORS), "part_color": len(COLORS) + 1}
        self.questions = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def loss(self, embedding: Tensor, answers: dict[str, Tensor]) -> Tensor:
        losses = [F.cross_entropy(ask(embedding), answers[name]) for name, ask in self.questions.items()]
        return torch.stack(losses).sum()


def answers_of(data: Dataset) -> dict[str, Tensor]:
    """Each object's attributes as class numbers [N]; the last part colour means none."""
    palette = torch.tensor(list(COLORS.values()), device=DEVICE)
    nearest = (data.tones[:, :, None] - palette).norm(dim=-1).argmin(-1)
    form = data.parameters[:, len(SHAPE_NAMES) : len(SHAPE_NAMES) + len(FORMS)].argmax(1)
    two_toned = data.parameters[:, -1] > 0
    return {
        "shape": data.parameters[:, : len(SHAPE_NAMES)].argmax(1),
        "form": form,
        "color": nearest[:, 0],
        "part_color": torch.where(two_toned, nearest[:, 1], len(COLORS)),
    }


def train_clip(
    config: ClipConfig,
    data: Dataset,
    folder: Path,
    vocabulary: int,
    text_tower: CLIPTextModelWithProjection | None = None,
) -> CLIPModel:
    """A CLIP; one whose other tower learns to match `text_tower`, which stays as it is, where that is given."""
    torch.manual_seed(config.schedule.seed)
    model = make_clip(config, vocabulary, data.images.shape[2]).to(DEVICE)
    if text_tower is not None:
        model.text_model.load_state_dict(text_tower.text_model.state_dict())
        model.text_projection.load_state_dict(text_tower.text_projection.state_dict())
        model.text_model.requires_grad_(False)
        model.text_projection.requires_grad_(False)
    model.set_attn_implementation("eager")  # on CPUs, the fused kernel's gradient is far slower in bfloat16
    pupil = Pupil(model).to(DEVICE)
    answers = answers_of(data)
    near, count = captions_by_shape(data)

    def loss(step: int, draw: Draw) -> Tensor:
        n = config.schedule.batch
        objects = torch.randperm(len(data.parameters), generator=draw.generator, device=DEVICE)[:n]
        pictures = data.images[objects, draw.integers(data.images.shape[1], n)]
        text = data.caption[objects, draw.integers(data.caption.shape[1], n)]
        place = draw.uniform(n, config.near_captions) * count[answers["shape"][objects], None]
        text = torch.cat([text, near[answers["shape"][objects, None], place.long()].flatten()])
        if config.backgrounds:
            pictures = on_plain_backgrounds(pictures, draw)
        images = roughen(normalise(pictures), draw, config.shift)
        with mixed_precision():
            out = model(input_ids=data.tokens[text, :LONGEST], pixel_values=images)
        contrast = contrastive_loss(
            out.image_embeds.float(), out.text_embeds.float(), model.logit_scale, data.fits[text][:, objects]
        )
        own = {key: value[objects] for key, value in answers.items()}
        return contrast + 0.5 * pupil.loss(out.vision_model_output.pooler_output.float(), own)

    fit(config.name, pupil, loss, config.schedule, folder)
    return model.eval()
