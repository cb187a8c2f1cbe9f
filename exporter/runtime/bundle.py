"""An opened bundle: the Generator made of a bundle's programs. numpy and the target's runtime only, never torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from exporter.bundle import Manifest, read_manifest, require_whole
from exporter.errors import BundleError
from exporter.runtime.generator import Context, OnStep, decode_mesh
from exporter.runtime.mesh import Mesh
from exporter.runtime.noise import noise
from exporter.runtime.prompt_memory import PromptMemory
from exporter.runtime.session import Session, open_session
from exporter.runtime.tokenizer import PromptTokenizer

Arrays = dict[str, np.ndarray]


class Bundle:
    """Prompts to meshes with the programs of one bundle. Programs are opened when they are first needed.

    `stand_in`: a backend that runs the programs on this machine in place of the target's own, `onnxruntime`.
    """

    def __init__(self, folder: Path, manifest: Manifest, stand_in: str | None = None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.stand_in = None if manifest.target["backend"] == stand_in else stand_in
        shipped = manifest.tokenizer
        self.tokenizer = PromptTokenizer((folder / shipped.file).read_bytes(), shipped.context_length, shipped.pad_id)
        self._sessions: dict[str, Session] = {}
        self._embeddings = PromptMemory(self._encode)

    @classmethod
    def open(cls, path: str | Path, verify: bool = True, stand_in: str | None = None) -> Bundle:
        """Opens a bundle folder; `verify` compares every file with its digest first.

        Raises BundleError that names each changed, missing or unlisted file, or says that engines are still to be
        built on the device and nothing stands in for them.
        """
        folder = Path(path)
        bundle = cls(folder, require_whole(folder) if verify else read_manifest(folder), stand_in)
        bundle.require_runnable()
        return bundle

    def require_runnable(self) -> None:
        """Raises BundleError where engines are still to be built and nothing stands in for them."""
        engines = self.manifest.engines
        if engines and engines.state != "built" and self.stand_in is None:
            raise BundleError(
                f"{self.folder}: its engines are to be built on the device ({self.manifest.target['name']}): copy the "
                f"folder there and run `{engines.run[0]}` in it. To try its programs here: --on onnxruntime"
            )

    def generate(
        self,
        prompt: str,
        seed: int = 0,
        on_step: OnStep | None = None,
        grid: int | None = None,
        exact: bool | None = None,
    ) -> Mesh:
        """The mesh of one prompt. The same prompt and seed give the same mesh; it is empty where the field is.

        `grid` and `exact` default to the recipe's. Warns when the prompt is longer than the context.
        """
        cut_off = self.tokenizer.cut_off(prompt)
        if cut_off:
            warnings.warn(f"the prompt is longer than the context; left out: {cut_off!r}", stacklevel=2)
        latents = self.sample(self.encode([prompt]), noise(seed, (1, *self.latent_shape)), on_step)
        return self.mesh(latents, grid, exact)

    def mesh(self, latents: np.ndarray, grid: int | None = None, exact: bool | None = None) -> Mesh:
        """The mesh of one object's latents [1, N, D]."""
        settings = self.manifest.mesh
        exact = settings.extraction == "exact" if exact is None else exact
        return decode_mesh(self, latents, settings.grid if grid is None else grid, exact)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(N, D) of one object's latents."""
        tokens, channels = self.manifest.sampler.latent_shape
        return tokens, channels

    @property
    def has_renderer(self) -> bool:
        """Whether the bundle renders pictures without a mesh."""
        return "renderer" in self.manifest.stages

    def encode(self, prompts: list[str]) -> np.ndarray:
        """Prompts to embeddings [B, E], a repeated one from memory; a prompt longer than the context is cut as the
        reference cuts it."""
        return self._embeddings(prompts)

    def sample(self, embedding: np.ndarray, noise: np.ndarray, on_step: OnStep | None = None) -> np.ndarray:
        """Embeddings [B, E] and unit normal noise [B, N, D] to latents [B, N, D].

        `on_step(i, sample, prediction)` is told what went into evaluation i and the guided prediction made of it;
        programs that hold the whole loop (unroll: loop, full) tell nothing.
        """
        settings = self.manifest.sampler
        sample = noise.astype(np.float32) * np.float32(settings.init_noise_sigma)
        if settings.unroll != "step":
            return self._run("sampler", {"sample": sample, "embedding": embedding})["latents"]
        state = {"sample": sample, "embedding": embedding}
        state |= {"previous_sample": np.zeros_like(sample), "previous_prediction": np.zeros_like(sample)}
        for step in range(settings.evaluations):
            found = self._run("denoiser", state | {"step": np.array(step, np.int64)})
            if on_step:
                on_step(step, state["sample"], found["prediction"])
            state |= {"previous_sample": state["sample"], "previous_prediction": found["prediction"]}
            state["sample"] = found["next_sample"]
        return state["sample"]

    def project(self, latents: np.ndarray) -> Context:
        """Latents [B, N, D] to the projector's outputs; empty where the model has none."""
        return self._run("projector", {"latents": latents}) if "projector" in self.manifest.stages else {}

    def field(self, points: np.ndarray, context: Context) -> Context:
        """Points [B, P, 3] to signed_distance [B, P, 1] (positive inside), density [B, P, 1], color [B, P, 3]."""
        return self._run("field", {**context, "points": points})

    def render(self, rays: np.ndarray, context: Context) -> np.ndarray:
        """Rays [B, R, 2, 3] to colours [B, R, 3]. Raises BundleError where the bundle has no renderer."""
        return self._run("renderer", {**context, "rays": rays})["color"]

    def session(self, stage: str) -> Session:
        """The opened program of a stage. Raises BundleError that lists the stages there are."""
        if stage not in self.manifest.stages:
            raise BundleError(f"{self.folder}: no stage '{stage}'; it has {', '.join(sorted(self.manifest.stages))}")
        if stage not in self._sessions:
            self._sessions[stage] = self._open(stage)
        return self._sessions[stage]

    def _open(self, stage: str) -> Session:
        target, engines = self.manifest.target, self.manifest.engines
        program = self.folder / self.manifest.stages[stage].program
        if self.stand_in:
            return open_session(self.stand_in, program, {})
        if engines:
            program = self.folder / engines.stages[stage].file
        return open_session(target["backend"], program, target.get("session", {}))

    def _encode(self, prompts: list[str]) -> np.ndarray:
        return self._run("text_encoder", {"input_ids": self.tokenizer.encode(prompts)})["embedding"]

    def _run(self, stage: str, arrays: Arrays) -> Arrays:
        return self.session(stage).run(arrays)
