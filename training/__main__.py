"""Makes the small model: `python -m training all` (hours on two CPU cores; goes on where it stopped)."""

import subprocess
from functools import wraps
from pathlib import Path

import click
import torch

from exporter.machine.fresh_python import module_command
from training.config import Config

WORK = Path(__file__).parent / "work"
SHIPPED = "student_4"


def prepare(work: Path, threads: int) -> Config:
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    work.mkdir(parents=True, exist_ok=True)
    return Config()


@click.group(help=__doc__)
def main() -> None: ...


def stage(function):
    """A command that trains one part: `function(config, data, work)`."""

    @own_stage
    @wraps(function)
    def command(config: Config, work: Path) -> None:
        from training.data import load_dataset

        function(config, load_dataset(config.data, work), work)

    return command


def own_stage(function):
    """A command that trains a part which needs no common dataset: `function(config, work)`."""

    @click.option(
        "--work", type=click.Path(path_type=Path), default=WORK, show_default=True, help="Folder of checkpoints."
    )
    @click.option("--threads", default=1, show_default=True)
    def command(work: Path, threads: int) -> None:
        function(prepare(work, threads), work)

    return main.command(function.__name__.replace("_", "-"), help=function.__doc__)(command)


@stage
def data(config, data, work):
    """Objects, field samples, pictures and captions."""


@stage
def latents(config, data, work):
    """The latent encoder and Shap-E's renderer."""
    from training.latents import train_latents

    train_latents(config.latents, data, work)


@stage
def conditioner(config, data, work):
    """The CLIP whose text tower conditions the prior."""
    from training.clip import train_clip

    train_clip(config.conditioner, data, work, vocabulary())


@stage
def judge(config, data, work):
    """The CLIP that judges."""
    from training.clip import train_clip

    train_clip(config.judge, data, work, vocabulary())


@stage
def prior(config, data, work):
    """The diffusion prior, from the finished latents and conditioner."""
    from training.clip import train_clip
    from training.latents import train_latents
    from training.prior import train_prior

    encoder = train_latents(config.latents, data, work).encoder
    clip = train_clip(config.conditioner, data, work, vocabulary())
    train_prior(config.prior, config.latents, encoder, clip, work)


@own_stage
def student(config: Config, work: Path) -> None:
    """The few-step students, from the packaged model alone, and the one that ships into exporter/zoo."""
    from training.package import package_student
    from training.student import train_students

    students = train_students(config, work)
    print(f"packaged: {package_student(students[SHIPPED], config.trajectories.horizon) / 1e6:.1f} MB")


@stage
def image(config, data, work):
    """The model that takes a picture, from the packaged text model alone, into exporter/zoo."""
    from training.image_prior import load_views, train_image_prior, train_tower
    from training.matched_encoder import train_matched_encoder
    from training.package import package_image

    encoder = train_matched_encoder(config.image, config.latents, data, work)
    clip = train_tower(config, data, work, vocabulary())
    views = load_views(config.image, config.data, work)
    seer = train_image_prior(config.image, views, encoder, clip, work)
    print(f"packaged: {package_image(seer.tower, seer.prior) / 1e6:.1f} MB")


@stage
def refine(config, data, work):
    """The packaged prior, trained on and packaged again."""
    from training.matched_encoder import train_matched_encoder
    from training.package import package_prior
    from training.refined_prior import train_refined_prior

    encoder = train_matched_encoder(config.image, config.latents, data, work)
    prior = train_refined_prior(config.refined, config.image.source, encoder, work)
    print(f"packaged: {package_prior(prior) / 1e6:.1f} MB")


@own_stage
def reconstructor(config: Config, work: Path) -> None:
    """The model from a picture to a mesh, and its packaged form in exporter/zoo."""
    from training.package import package_reconstructor
    from training.reconstructor import train_reconstructor
    from training.views import load_views

    model = train_reconstructor(config.reconstructor, config.views, load_views(config.views, work), work)
    print(f"packaged: {package_reconstructor(model, config) / 1e6:.1f} MB")


@own_stage
def point_e(config: Config, work: Path) -> None:
    """Point-E's small model, conditioned on the packaged models' CLIPs, into exporter/zoo."""
    from training.cloud_distance import train_distance
    from training.clouds import load_clouds
    from training.package_point_e import package_point_e
    from training.point_diffusion import train_image_base, train_text_base, train_upsampler

    clouds = load_clouds(config, work)
    text = train_text_base(config.point_e, clouds, work)
    upsampler = train_upsampler(config.point_e, text, clouds, work)
    distance = train_distance(config.point_e, clouds, work)
    image = train_image_base(config.point_e, text, clouds, work)
    print(f"packaged: {package_point_e(config.point_e, text, image, upsampler, distance) / 1e6:.1f} MB")


@stage
def package(config, data, work):
    """Writes the trained parts into exporter/zoo."""
    from training.clip import train_clip
    from training.latents import train_latents
    from training.package import package as write
    from training.prior import train_prior

    autoencoder = train_latents(config.latents, data, work)
    clip = train_clip(config.conditioner, data, work, vocabulary())
    judge = train_clip(config.judge, data, work, vocabulary())
    prior = train_prior(config.prior, config.latents, autoencoder.encoder, clip, work)
    print(f"packaged: {write(autoencoder, clip, judge, prior) / 1e6:.1f} MB")


@main.command()
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--only", help="Only measurements whose name contains this.")
def score(work: Path, threads: int, only: str | None) -> None:
    """Measures the packaged model and writes its model card (resumes)."""
    from training.scoring.card import write_card
    from training.scoring.measure import measure, reference, tasks
    from training.scoring.pictures import sheet

    torch.set_num_threads(threads)
    if only is None:
        sheet(reference(64), Path(__file__).parent.parent / "docs" / "images" / "shap_e_mini.png")
    measure(work, tasks(work), only)
    write_card(work)


@main.command("score-student")
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--only", help="Only measurements whose name contains this.")
def score_student(work: Path, threads: int, only: str | None) -> None:
    """Measures the few-step students beside the packaged model and writes their model card (resumes)."""
    from training.scoring.measure import measure
    from training.scoring.students import tasks, write_card

    torch.set_num_threads(threads)
    measure(work, tasks(work), only)
    write_card(work)


@main.command("score-reconstructor")
@click.option("--weights", default="triposr-mini", show_default=True, help="The small model also gets its card.")
@click.option("--objects", default=128, show_default=True, help="Whose volume and colours are compared.")
@click.option("--pictures", default=160, show_default=True, help="How many are judged by their captions.")
@click.option("--threads", default=2, show_default=True)
def score_reconstructor(weights: str, objects: int, pictures: int, threads: int) -> None:
    """Prints how near the model from a picture to a mesh comes to held-out objects; writes the small model's card."""
    from training.scoring.reconstruction import reconstruct
    from training.scoring.reconstructor_card import judged, judged_table, write_card

    torch.set_num_threads(threads)
    near, rows = reconstruct(weights, objects), judged(weights, pictures)
    print("\n".join([near.table(), "", *judged_table(rows)]))
    if weights == "triposr-mini":
        write_card(near, rows)


@main.command("score-image")
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--only", help="Only measurements whose name contains this.")
def score_image(work: Path, threads: int, only: str | None) -> None:
    """Measures the model that takes a picture beside the text model and writes its model card (resumes)."""
    from training.scoring.pictured import measure, write_card

    torch.set_num_threads(threads)
    measure(work, only)
    write_card(work)


@main.command("score-point-e")
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--objects", default=160, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--only", help="Only rows whose name contains this.")
def score_point_e(work: Path, objects: int, threads: int, only: str | None) -> None:
    """Measures Point-E's small models beside the true objects and writes their model cards (resumes)."""
    from training.scoring.clouds import measure
    from training.scoring.clouds_card import write_cards

    torch.set_num_threads(threads)
    measure(work, objects, only)
    write_cards(work, objects)


@main.command()
def pictures() -> None:
    """The pictures that come with the recipes, and those with captions that the quality rung makes objects of."""
    from training.example_pictures import write_example_pictures
    from training.judged_pictures import write_judged_pictures

    print(f"{len(write_example_pictures()) + len(write_judged_pictures())} pictures")


def vocabulary() -> int:
    from training.captions import make_tokenizer

    return len(make_tokenizer())


@main.command("all")
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
def everything(work: Path) -> None:
    """Every part in order, two at a time where they do not wait for each other, then the packaged model."""
    run("data", work, threads=2)
    side = start("conditioner", work)
    run("latents", work)
    run("judge", work)
    if side.wait() != 0:
        raise SystemExit(side.returncode)
    run("prior", work, threads=2)
    run("package", work)
    run("refine", work, threads=2)
    run("student", work, threads=2)
    run("reconstructor", work, threads=2)
    run("image", work, threads=2)
    run("point-e", work, threads=2)


def start(name: str, work: Path, threads: int = 1) -> subprocess.Popen:
    command = module_command("training", name, "--work", str(work))
    return subprocess.Popen(command + (["--threads", str(threads)] if threads > 1 else []))


def run(name: str, work: Path, threads: int = 1) -> None:
    process = start(name, work, threads)
    if process.wait() != 0:
        raise SystemExit(process.returncode)


if __name__ == "__main__":
    main()
