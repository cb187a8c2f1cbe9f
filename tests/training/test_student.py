"""A student is taught what the exporter's sampler then does, and learns it."""

import numpy as np
import pytest
import torch

from exporter.families.shap_e.model import load
from tests.exporter.tiny import write_tiny_shap_e
from training.config import Schedule, StudentConfig, TrajectoryConfig
from training.loop import DEVICE
from training.originals import original
from training.student import Lesson, student_table, train_student
from training.trajectories import load_trajectories, student_scheduler, teacher_solver

HORIZON = 717


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = write_tiny_shap_e(tmp_path_factory.mktemp("teacher"))
    return TrajectoryConfig(teacher=str(folder), count=48, batch=24)


@pytest.fixture(scope="module")
def trajectories(taught, tmp_path_factory):
    return load_trajectories(taught, tmp_path_factory.mktemp("trajectories"))


@pytest.mark.parametrize("steps", [4, 2])
def test_a_student_starts_each_step_where_a_point_was_kept(steps):
    config = TrajectoryConfig()
    kept = teacher_solver(config).timesteps[:: config.solver_steps // config.points]
    assert student_table(steps, config.horizon).timesteps.tolist() == kept[:: config.points // steps].tolist()


def test_the_exporters_table_goes_where_the_lesson_says():
    table, rng = student_table(4, HORIZON), np.random.default_rng(0)
    sample, wanted = rng.normal(size=(4, 3, 5)), rng.uniform(-1, 1, size=(4, 3, 5))
    goal = np.stack([table.next_sample(i, sample[i], wanted[i], (sample[i], wanted[i])) for i in range(4)])
    arguments = (torch.from_numpy(array).float().to(DEVICE) for array in (sample, goal))
    taught = Lesson(table).prediction(torch.arange(4), *arguments)
    np.testing.assert_allclose(taught.cpu().numpy(), wanted, atol=1e-4)


def test_a_lost_shard_is_made_again_as_it_was(taught, trajectories, tmp_path):
    first = load_trajectories(taught, tmp_path)
    torch.testing.assert_close(first.points, trajectories.points)
    lost = sorted(tmp_path.glob("*.safetensors"))[1]
    lost.unlink()
    torch.testing.assert_close(load_trajectories(taught, tmp_path).points, first.points)
    assert lost.exists()


def test_a_student_ends_nearer_to_its_teacher_than_it_began(taught, trajectories, tmp_path):
    schedule = Schedule(steps=60, batch=16, rate=2e-3, seed=0, warmup=5)
    student = train_student(StudentConfig("tiny", 4, None, schedule), None, taught, trajectories, tmp_path)
    model = load(taught.teacher)
    model.configs["scheduler"] = dict(student_scheduler(HORIZON).config)

    def distance(weights):
        made = original(model, "ddim", 4, 1.0)
        made.parts.prior().load_state_dict(weights)
        given = {"embedding": trajectories.embedding.cpu().numpy()}
        latents = made.sample("denoiser", given, trajectories.points[:, 0].cpu().numpy())
        return float((torch.from_numpy(latents) - trajectories.points[:, -1].cpu()).square().mean())

    before, after = distance(model.prior().state_dict()), distance(student.cpu().state_dict())
    assert after < 0.75 * before
