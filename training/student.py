"""Few-step students: the prior distilled until a few evaluations without guidance go where its many guided ones do.

Progressive distillation (Salimans and Ho 2022) in one leap, guidance folded in (Meng et al. 2023): each of the
student's steps learns the one prediction that takes DDIM's update from a point of the teacher's trajectory to the next.
The update is the exporter's own table of coefficients, so a recipe with `scheduler: ddim`, the same number of steps and
`guidance_scale: 1` runs exactly what was trained.
"""

from pathlib import Path

import torch
from diffusers import PriorTransformer
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from torch.nn import functional as F

from exporter.families.shap_e.model import load
from exporter.sampling.schedulers import make_scheduler
from exporter.sampling.table import CoefficientTable, probe
from training.config import Config, StudentConfig, TrajectoryConfig
from training.loop import DEVICE, Draw, fit, mixed_precision
from training.trajectories import Trajectories, load_trajectories, student_scheduler


def student_table(steps: int, horizon: int) -> CoefficientTable:
    """What the exporter makes of the students' scheduler."""
    return probe(make_scheduler("ddim", student_scheduler(horizon), "diffusers"), steps)


class Lesson:
    """What DDIM's update asks of the network at each of the student's steps.

    Steps are i64 [B], samples and predictions [B, N, D]. A prediction within the clipping range moves the sample by
    `of_prediction`; beyond it the range is all that counts.
    """

    def __init__(self, table: CoefficientTable) -> None:
        of_sample, raw, clipped, *_ = torch.from_numpy(table.coefficients).float().to(DEVICE)[..., None, None].unbind(1)
        self.of_sample, self.of_prediction = of_sample, raw + clipped
        self.timesteps = torch.from_numpy(table.timesteps).to(DEVICE)
        self.clip = table.clip

    def prediction(self, step: Tensor, sample: Tensor, goal: Tensor) -> Tensor:
        """The prediction that takes `sample` to `goal`."""
        return ((goal - self.of_sample[step] * sample) / self.of_prediction[step]).clamp(-self.clip, self.clip)


def train_student(
    config: StudentConfig, start: PriorTransformer | None, taught: TrajectoryConfig, data: Trajectories, folder: Path
) -> PriorTransformer:
    """The student of `config`, from the weights of `start` or else from the teacher's."""
    model = load(taught.teacher).prior().to(DEVICE).requires_grad_(True)
    if start is not None:
        model.load_state_dict(start.state_dict())
    model.set_attn_processor(AttnProcessor())
    lesson = Lesson(student_table(config.steps, taught.horizon))
    points = data.points[:, :: taught.points // config.steps]
    n = config.schedule.batch

    def loss(step: int, draw: Draw) -> Tensor:
        chosen, at = draw.integers(len(points), n), torch.arange(n, device=DEVICE) % config.steps
        sample, goal = points[chosen, at], points[chosen, at + 1]
        with mixed_precision():
            output = model(sample, timestep=lesson.timesteps[at], proj_embedding=data.embedding[chosen])
        predicted = output.predicted_image_embedding[..., : sample.shape[-1]].float()
        return F.mse_loss(predicted, lesson.prediction(at, sample, goal))

    return fit(config.name, model, loss, config.schedule, folder)


def train_students(config: Config, folder: Path) -> dict[str, PriorTransformer]:
    """Every student of `config` by its name, in the order in which they start from each other."""
    data = load_trajectories(config.trajectories, folder)
    made: dict[str, PriorTransformer] = {}
    for student in config.students:
        start = made[student.start] if student.start else None
        made[student.name] = train_student(student, start, config.trajectories, data, folder)
    return made
