"""An opened bundle: the Generator made of a bundle's programs. numpy and the target's runtime only, never torch."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from exporter.errors import BundleError
from exporter.manifest import Manifest, read_manifest, require_whole
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.generator import Context, OnStep, decode_mesh
from exporter.runtime.inputs.noise import noise
from exporter.runtime.inputs.prompt_memory import PromptMemory
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.runtime.inputs.values import chosen_grid, require_exact, require_prompt
from exporter.runtime.sessions.session import Session, open_session
from exporter.runtime.surface.extract import OnSampled

Arrays = dict[str, np.ndarray]


class Bundle:
    """Prompts to meshes with the programs of one bundle. Programs are opened when they are first needed.

    `stand_in`: a backend that runs the programs on this machine in place of the target's own, `onnxruntime`.
    `memory_limit_mb`: most that the weights of opened programs may take together, in place of the recipe's limit; those
    used longest ago are closed. Raises BundleError where the largest alone takes more.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, stand_in: str | None = None, memory_limit_mb: int | None = None
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.stand_in = None if manifest.target["backend"] == stand_in else stand_in
        shipped = manifest.tokenizer
        self.tokenizer = PromptTokenizer((folder / shipped.file).read_bytes(), shipped.context_length, shipped.pad_id)
        self._sessions: dict[str, Session] = {}
        self.memory_limit_mb: int | None = memory_limit_mb or manifest.recipe.get("memory_limit_mb")
        self._require_a_limit_that_can_be_held()
        self._embeddings = PromptMemory(self._encode)

    @classmethod
    def open(
        cls,
        path: str | Path,
        verify: bool = True,
        stand_in: str | None = None,
        memory_limit_mb: int | None = None,
    ) -> Bundle:
        """Opens a bundle folder; `verify` compares every file with its digest first.

        Raises BundleError that names the changed and missing files, or says that engines are still to be
        built on the device and nothing stands in for them.
        """
        folder = Path(path)
        manifest = require_whole(folder) if verify else read_manifest(folder)
        bundle = cls(folder, manifest, stand_in, memory_limit_mb)
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
        quality: str | None = None,
    ) -> Mesh:
        """The mesh of one prompt. The same prompt and seed give the same mesh; it is empty where the field is.

        `grid`, or in its place a `quality` ('draft', 'normal' or 'fine': 64³, 128³ or 256³), and `exact` default to
        the recipe's. Warns when the prompt is longer than the context. Raises RecipeError for a value that
        `inputs.values` does not take, before any program runs.
        """
        grid, exact = chosen_grid(grid, quality), require_exact(exact)
        cut_off = self.tokenizer.cut_off(require_prompt(prompt))
        if cut_off:
            warnings.warn(f"the prompt is longer than the context; left out: {cut_off!r}", stacklevel=2)
        start = noise(seed, (1, *self.latent_shape))
        latents = self.sample(self.encode([prompt]), start, on_step)
        return self.mesh(latents, grid, exact)

    def mesh(
        self,
        latents: np.ndarray,
        grid: int | None = None,
        exact: bool | None = None,
        on_sampled: OnSampled | None = None,
    ) -> Mesh:
        """The mesh of one object's latents [1, N, D]; `on_sampled` is told what was asked of the field for it.

        Raises RecipeError as `generate`.
        """
        settings = self.manifest.mesh
        everywhere = require_exact(exact)
        if everywhere is None:
            everywhere = settings.extraction == "exact"
        return decode_mesh(self, latents, chosen_grid(grid) or settings.grid, everywhere, on_sampled)

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
        session = self._sessions.pop(stage, None)
        if session is None:
            self._make_room_for(stage)
            session = self._open(stage)
        # The one used last stands last.
        self._sessions[stage] = session
        return session

    def _make_room_for(self, stage: str) -> None:
        limit = self.memory_limit_mb
        while limit and self._sessions and self._megabytes(*self._sessions, stage) > limit:
            del self._sessions[next(iter(self._sessions))]

    def _require_a_limit_that_can_be_held(self) -> None:
        largest = max(self.manifest.stages, key=self._megabytes)
        size, limit = math.ceil(self._megabytes(largest)), self.memory_limit_mb
        if limit and size > limit:
            raise BundleError(
                f"{self.folder}: a memory limit of {limit} MB cannot be held, {largest} alone takes {size} MB: "
                "give at least that, or quantize it further"
            )

    def _megabytes(self, *stages: str) -> float:
        return sum(self.manifest.stages[stage].size for stage in stages) / 1e6

    def _open(self, stage: str) -> Session:
        target, engines = self.manifest.target, self.manifest.engines
        program = self.folder / self.manifest.stages[stage].program
        options = target.get("session", {})
        if self.stand_in:
            return open_session(self.stand_in, program, {"threads": options.get("threads", 0)})
        if engines:
            program = self.folder / engines.stages[stage].file
        packed = options.get("prepack") is None or stage in options["prepack"]
        return open_session(target["backend"], program, options | {"packed": packed})

    def _encode(self, prompts: list[str]) -> np.ndarray:
        return self._run("text_encoder", {"input_ids": self.tokenizer.encode(prompts)})["embedding"]

    def _run(self, stage: str, arrays: Arrays) -> Arrays:
        found = self.session(stage).run(arrays)
        if missing := [tensor.name for tensor in self.manifest.stages[stage].outputs if tensor.name not in found]:
            raise BundleError(
                f"{self.folder}: the program of stage '{stage}' does not make {', '.join(missing)}, which the manifest "
                "lists: it is not the program that this manifest was written for"
            )
        return found
