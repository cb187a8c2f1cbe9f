"""Every number of the recipe for the small model, in one place."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DataConfig:
    seed: int = 0
    objects: int = 8192
    points: int = 1536
    views: int = 2
    image_size: int = 48
    elevation: tuple[float, float] = (-10.0, 60.0)  # degrees
    captions: int = 4  # a view may be seen under any of these


@dataclass(frozen=True)
class Schedule:
    steps: int
    batch: int
    rate: float
    seed: int
    warmup: int = 200
    decay: float = 0.01
    ema: float = 0.0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class LatentConfig:
    d_hidden: int = 32
    d_latent: int = 32
    projected: int = 2  # mlp.0 … are given by the latent; the rest is shared by all objects
    width: int = 256
    points: int = 384
    turning: int = 2500  # steps until objects have their full yaw
    schedule: Schedule = Schedule(steps=12000, batch=48, rate=2e-3, seed=1)

    @property
    def tokens(self) -> int:
        return self.d_hidden * self.projected


@dataclass(frozen=True)
class ClipConfig:
    name: str
    text_width: int
    text_layers: int
    vision_width: int
    vision_layers: int
    heads: int
    projection: int
    schedule: Schedule
    near_captions: int = 1  # captions of the same shape that each picture is told apart from, besides the batch's own
    shift: int = 2  # pixels
    backgrounds: bool = False  # pictures stand on plain colours too, not on white alone


@dataclass(frozen=True)
class PriorConfig:
    heads: int = 6
    head_size: int = 32
    layers: int = 8
    time_width: int = 384
    unconditional: float = 0.1
    objects: int = 200_000  # drawn afresh: the encoder needs no distances and no pictures
    schedule: Schedule = Schedule(steps=14_000, batch=32, rate=1e-3, seed=4, warmup=400, ema=0.999)


@dataclass(frozen=True)
class TrajectoryConfig:
    """What few-step students learn from: solutions of a finished model's guided sampling."""

    teacher: str = "shap-e-mini"
    horizon: int = 717  # timesteps kept of the 1024: the noisiest has sigma 67, above it nothing is decided yet
    solver_steps: int = 8  # DPM-Solver++ 2M
    points: int = 4  # steps between the points that are kept
    guidance: float = 3.0
    count: int = 1536
    batch: int = 64
    seed: int = 5


@dataclass(frozen=True)
class StudentConfig:
    name: str
    steps: int
    start: str | None  # another student, whose weights it starts from; the prior where there is none
    schedule: Schedule


@dataclass(frozen=True)
class ViewConfig:
    """Pictures and field samples that TripoSR's small model learns from."""

    seed: int = 8
    objects: int = 4096
    points: int = 1536
    views: int = 2
    image_size: int = 64
    elevation: tuple[float, float] = (-5.0, 45.0)  # degrees
    loose: float = 0.06  # how far the foreground's share of a picture may stray
    workers: int = 2


@dataclass(frozen=True)
class ReconstructorConfig:
    """TripoSR's classes, small: 2.7 M parameters."""

    vision_width: int = 160
    vision_layers: int = 4
    vision_head: int = 32
    patch: int = 8
    plane_size: int = 8
    width: int = 128
    heads: int = 4
    layers: int = 4
    features: int = 24
    neurons: int = 64
    hidden_layers: int = 4
    points: int = 384
    softness: float = 0.03  # of the surface, in the frame's units
    shift: int = 2  # pixels
    schedule: Schedule = Schedule(steps=5000, batch=16, rate=1.5e-3, seed=9, warmup=150, decay=0.02, ema=0.995)


@dataclass(frozen=True)
class ImageConfig:
    """The model that takes a picture, learnt from the packaged text model: its renderer and scheduler are shared, its
    text tower and its prior are what the others start from."""

    source: str = "shap-e-mini"
    objects: int = 16_384  # drawn afresh, each seen from one side
    seed: int = 11
    encoder: Schedule = Schedule(steps=4000, batch=48, rate=2e-3, seed=12)
    turning: int = 1500  # steps until objects have their full yaw
    likely: float = 0.05  # weight of what the text prior finds likely, in the encoder's loss
    doubted: int = 8  # objects of a batch that the text prior is asked for
    doubt: tuple[float, float] = (0.2, 2.0)  # noise levels at which it is asked
    tower: Schedule = Schedule(steps=1000, batch=96, rate=1e-3, seed=13, decay=0.05)
    tower_width: int = 112
    layers: tuple[int, ...] = (0, 1, 3, 5, 7)  # of the text prior's, kept
    unconditional: float = 0.1
    shift: int = 2  # pixels
    prior: Schedule = Schedule(steps=6000, batch=32, rate=8e-4, seed=14, warmup=200, ema=0.998)


@dataclass(frozen=True)
class RefinedConfig:
    """The packaged prior trained on, against the encoder that was matched to it: parts that a turn decides on, as a
    chair's back and a mug's handle, were torn."""

    objects: int = 200_000
    seed: int = 16
    unconditional: float = 0.1
    schedule: Schedule = Schedule(steps=5000, batch=32, rate=8e-4, seed=16, warmup=100, ema=0.998)


@dataclass(frozen=True)
class CloudConfig:
    """Clouds that Point-E's small model learns from."""

    objects: int = 8192
    captions: int = 4
    points: int = 1024
    places: int = 768


@dataclass(frozen=True)
class DiffusionConfig:
    """One of Point-E's two kinds of diffusion transformers; `highest`: the noise level above which errors of the clean
    points count no more for being larger."""

    width: int
    layers: int
    schedule: Schedule
    unconditional: float = 0.1
    highest: float = 20.0


@dataclass(frozen=True)
class DistanceConfig:
    """Point-E's model of the signed distance to a cloud."""

    width: int = 64
    encoder_layers: int = 2
    decoder_layers: int = 2
    places: int = 384
    far: float = 0.15  # beyond, in raw units, distances count no more for being larger
    schedule: Schedule = Schedule(steps=3000, batch=8, rate=2e-3, seed=24, warmup=100, ema=0.99)


@dataclass(frozen=True)
class PointEConfig:
    """Point-E's small model: conditioned on the packaged models' CLIPs, with fewer points than the published ones."""

    text_source: str = "shap-e-mini"
    image_source: str = "shap-e-mini-image"
    clouds: CloudConfig = CloudConfig()
    points: int = 256
    added: int = 768
    coarse: float = 0.9  # share of the steps that are learnt on half of the points, at half of the cost or less
    rough: float = 0.04  # of the noise, in diffusion's units, on clouds that are upsampled or measured
    shift: int = 2  # pixels
    text: DiffusionConfig = DiffusionConfig(
        128, 4, Schedule(steps=20_000, batch=16, rate=1.5e-3, seed=21, warmup=200, ema=0.998)
    )
    image: DiffusionConfig = DiffusionConfig(
        128, 3, Schedule(steps=5000, batch=16, rate=1.2e-3, seed=22, warmup=100, ema=0.995)
    )
    image_layers: tuple[int, ...] = (0, 1, 3)  # of the text model's, that it starts from
    upsampler: DiffusionConfig = DiffusionConfig(
        128, 2, Schedule(steps=6000, batch=6, rate=1.2e-3, seed=23, warmup=100, ema=0.99), unconditional=0.5
    )
    upsampler_layers: tuple[int, ...] = (0, 3)
    distance: DistanceConfig = DistanceConfig()


@dataclass(frozen=True)
class Config:
    data: DataConfig = DataConfig()
    views: ViewConfig = ViewConfig()
    reconstructor: ReconstructorConfig = ReconstructorConfig()
    latents: LatentConfig = LatentConfig()
    conditioner: ClipConfig = field(
        default_factory=lambda: ClipConfig(
            "conditioner",
            128,
            3,
            128,
            3,
            4,
            128,
            Schedule(steps=4600, batch=128, rate=1e-3, seed=2, decay=0.05),
        )
    )
    judge: ClipConfig = field(
        default_factory=lambda: ClipConfig(
            "judge", 112, 2, 144, 3, 4, 96, Schedule(steps=4600, batch=128, rate=1e-3, seed=3, decay=0.05)
        )
    )
    prior: PriorConfig = PriorConfig()
    image: ImageConfig = ImageConfig()
    refined: RefinedConfig = RefinedConfig()
    point_e: PointEConfig = PointEConfig()
    trajectories: TrajectoryConfig = TrajectoryConfig()
    students: tuple[StudentConfig, ...] = (
        StudentConfig("student_4", 4, None, Schedule(steps=900, batch=16, rate=4e-4, seed=6, warmup=50, ema=0.99)),
        StudentConfig(
            "student_2", 2, "student_4", Schedule(steps=300, batch=16, rate=4e-4, seed=7, warmup=50, ema=0.99)
        ),
    )
