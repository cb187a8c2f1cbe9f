"""An opened bundle: a pipeline run by the programs of a folder. numpy and the target's runtime only, never torch."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np

from exporter.errors import BundleError, RecipeError
from exporter.manifest import Manifest, bundle_digest, read_manifest, require_whole
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import EVALUATED, Pipeline
from exporter.pipeline.sampling import NEGATIVE
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.points import PointCloud, points_of
from exporter.runtime.batch import made_objects
from exporter.runtime.generated import GeneratedObject
from exporter.runtime.generating import GenerateProgress, OnProgress, described, is_one_seed, pairs
from exporter.runtime.inputs.picture import Picture, PictureReader
from exporter.runtime.inputs.row_memory import RowMemory
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.runtime.inputs.values import chosen_grid, require_exact, require_prompt, require_seed
from exporter.runtime.run import Arrays, Draws, OnStep, Request, Run, make
from exporter.runtime.sampler_loop import sample
from exporter.runtime.sessions.few_sizes import FewSizes
from exporter.runtime.sessions.session import Session, keeps_plans, open_session
from exporter.runtime.surface.decoded import mesh_of
from exporter.runtime.surface.extract import OnSampled

NO_WORD_KNOWN = "the model knows none of these words, and what it makes has little to do with them"


class Bundle:
    """Prompts to meshes with the programs of one bundle. Programs are opened when they are first needed.

    `stand_in`: a backend that runs the programs on this machine in place of the target's own, `onnxruntime`.
    `memory_limit_mb`: most that the weights of opened programs may take together, in place of the recipe's limit; those
    used longest ago are closed. Raises BundleError where the largest alone takes more.

    Threads may share a bundle: `generate`, `make`, `mesh`, `session` and the programs give each what they would give it
    alone. A `Run` is one thread's. A program that is closed for the limit stays in memory until the calls that use it
    have ended.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, stand_in: str | None = None, memory_limit_mb: int | None = None
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.stand_in = None if manifest.target["backend"] == stand_in else stand_in
        self.tokenizers = {
            name: PromptTokenizer((folder / source.file).read_bytes(), source.length, source.pad_id, source.clean)
            for name, source in manifest.texts.items()
        }
        self.pictures = {name: PictureReader(source) for name, source in manifest.pictures.items()}
        self._sessions: dict[str, Session] = {}
        self._opening = threading.Lock()
        self.memory_limit_mb: int | None = memory_limit_mb or manifest.recipe.get("memory_limit_mb")
        self._require_a_limit_that_can_be_held()
        self._encoders = {stage: RowMemory(partial(self._run, stage)) for stage in manifest.of_kind("encode")}

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

    @overload
    def generate(
        self,
        prompt: str | Picture | None = None,
        seed: int = 0,
        *,
        grid: int | None = None,
        exact: bool | None = None,
        quality: str | None = None,
        picture: Picture | None = None,
        negative: str | Picture | None = None,
        on_progress: OnProgress | None = None,
    ) -> GeneratedObject: ...

    @overload
    def generate(
        self,
        prompt: list[str] | list[Picture],
        seed: int | Sequence[int] = 0,
        *,
        grid: int | None = None,
        exact: bool | None = None,
        quality: str | None = None,
        picture: None = None,
        negative: str | Picture | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[GeneratedObject]: ...

    @overload
    def generate(
        self,
        prompt: str | Picture | None,
        seed: Sequence[int],
        *,
        grid: int | None = None,
        exact: bool | None = None,
        quality: str | None = None,
        picture: Picture | None = None,
        negative: str | Picture | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[GeneratedObject]: ...

    def generate(
        self,
        prompt: str | Picture | list[str] | list[Picture] | None = None,
        seed: int | Sequence[int] = 0,
        *,
        grid: int | None = None,
        exact: bool | None = None,
        quality: str | None = None,
        picture: Picture | list[Picture] | None = None,
        negative: str | Picture | None = None,
        on_progress: OnProgress | None = None,
    ) -> GeneratedObject | list[GeneratedObject]:
        """The object of one prompt, or of one `picture` where the bundle takes pictures: a file, a Pillow image or
        bytes [H, W, 3 or 4]. The same prompt and seed give the same object; its mesh is empty where the field is.

        With a list of prompts, of seeds or of both, pair by pair, a list of objects, sampled together:

        >>> [one.seed for one in bundle.generate("a red ball", seed=[1, 2])]
        [1, 2]
        >>> [one.prompt for one in bundle.generate(["a red ball", "a blue ball"])]
        ['a red ball', 'a blue ball']

        `grid`, or in its place a `quality` ('draft', 'normal' or 'fine': 64³, 128³ or 256³), and `exact` default to
        the recipe's. `negative`: what the objects are to be unlike, where the recipe has such conditions.
        `on_progress(what, done, total)` gets "sampling" in evaluations and "mesh" in points of the
        field, of which it takes `total` at most; what it raises ends the work, and the bundle can be used again. Other
        assets than a mesh are made when they are first looked at. Warns when a prompt is longer than the context, and
        when no word of it is known.

        Raises RecipeError for a value that `inputs.values` does not take, before any program runs.
        """
        grid, exact = chosen_grid(grid, quality), require_exact(exact)
        given = self._given(prompt, picture)
        asked = pairs(given, seed)
        for one, one_seed in asked:
            require_seed(one_seed)
            if self.tokenizers:
                for cut_off in self.cut_off(require_prompt(one)):
                    warnings.warn(f"the prompt is longer than the context; left out: {cut_off!r}", stacklevel=2)
                if self.knows_no_word(one):
                    warnings.warn(f"{one!r}: {NO_WORD_KNOWN}", stacklevel=2)
        progress = GenerateProgress(on_progress, len(asked), self.pipeline, grid)
        requests: list[Request] = [dict.fromkeys(self.pipeline.inputs, one) for one, _ in asked]
        unlike: list[Request] = [dict.fromkeys(self.pipeline.inputs, negative)] * len(asked)
        others = {} if negative is None else {NEGATIVE: unlike}
        runs = made_objects(self, requests, [one_seed for _, one_seed in asked], progress.sampled, others)
        digest = bundle_digest(self.manifest)
        made = []
        for (one, one_seed), run in zip(asked, runs, strict=True):
            label = Label(described(one), one_seed, digest)
            made.append(self._object(run, label, grid, exact, progress))
        return made if isinstance(given, list) or not is_one_seed(seed) else made[0]

    async def generate_async(
        self,
        prompt: str | Picture | list[str] | list[Picture] | None = None,
        seed: int | Sequence[int] = 0,
        *,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> GeneratedObject | list[GeneratedObject]:
        """`generate`, awaited: the work is done in a thread, `on_progress` is called in the loop's.

        Cancelling the task that waits ends the work at its next evaluation, and the bundle can be used again. The other
        options, and what is raised, are those of `generate`.

        >>> import asyncio
        >>> asyncio.run(bundle.generate_async("a red ball", seed=3))
        <GeneratedObject 'a red ball', seed 3: 672 vertices, 1,340 triangles>
        """

        # asyncio takes a tenth of what all of this takes to import.
        from exporter.runtime.awaited import awaited

        def work(report: OnProgress) -> GeneratedObject | list[GeneratedObject]:
            return self.generate(prompt, seed, on_progress=report, **options)

        return await awaited(work, on_progress)

    def _object(
        self, run: Run, label: Label, grid: int | None, exact: bool | None, progress: GenerateProgress
    ) -> GeneratedObject:
        if self.pipeline.asset(MeshAsset) is None:
            return GeneratedObject(run, label)
        run.on_places = progress.evaluated
        mesh = self.mesh(run, grid, exact)
        run.on_places = None
        progress.meshed()
        return GeneratedObject(run, label, mesh)

    def _given(self, prompt: Any, picture: Any) -> Any:
        """The one of both that the bundle takes. Raises RecipeError for the other, or for both."""
        if picture is None:
            return prompt
        if not self.pictures:
            raise RecipeError(
                f"picture: this bundle takes none; it takes {', '.join(self.pipeline.inputs) or 'nothing'}"
            )
        if prompt is not None:
            raise RecipeError("picture: give prompt or picture, not both")
        return picture

    def cut_off(self, prompt: str) -> list[str]:
        """The end of a prompt that does not fit into the context of a tokenizer, for each where that is so."""
        return [end for tokenizer in self.tokenizers.values() if (end := tokenizer.cut_off(prompt))]

    def knows_no_word(self, prompt: str) -> bool:
        """Whether a prompt has no word of two letters or more that one of the tokenizers has a token for."""
        return bool(self.tokenizers) and all(one.knows_no_word(prompt) for one in self.tokenizers.values())

    def make(
        self,
        request: Request,
        seed: int = 0,
        on_step: OnStep | None = None,
        others: Mapping[str, Request] | None = None,
    ) -> Run:
        """A run of one object, from what is given by the name of an input: {"prompt": "a red chair"}.

        `others`: the same by the name of another set of conditions, {"negative": {"prompt": "legs"}}. Raises
        RecipeError for a set that the bundle does not take.
        """
        return make(self, [request], [seed], on_step, {name: [given] for name, given in (others or {}).items()})

    def mesh(
        self, run: Run, grid: int | None = None, exact: bool | None = None, on_sampled: OnSampled | None = None
    ) -> Mesh:
        """The mesh of a run's only object; `on_sampled` gets what was evaluated of the field for it.

        Raises RecipeError as `generate`, BundleError for a bundle that makes no mesh.
        """
        asset = self.pipeline.asset(MeshAsset)
        if asset is None:
            raise BundleError(f"{self.folder}: it makes no mesh; it makes {', '.join(self.pipeline.assets)}")
        everywhere = require_exact(exact)
        if everywhere is None:
            everywhere = asset.extraction == "exact"
        return mesh_of(run, chosen_grid(grid) or asset.grid, everywhere, on_sampled)

    def points(self, run: Run) -> PointCloud:
        """The points of a run's only object. Raises RecipeError for a bundle that makes none."""
        return points_of(run)

    @property
    def pipeline(self) -> Pipeline:
        """What the bundle takes, runs and makes."""
        return self.manifest

    def read(self, requests: Sequence[Request]) -> Arrays:
        """What is asked for to the pipeline's input tensors; a prompt longer than the context is cut as the original
        cuts it. Raises RecipeError for a picture that cannot be read."""
        readers = self.tokenizers | self.pictures
        return {
            source.tensor: readers[name].encode([request[name] for request in requests])
            for name, source in self.pipeline.inputs.items()
        }

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        """A stage's outputs from its inputs, of an encoder a repeated row from memory.

        Raises BundleError for a program that does not make what the manifest lists.
        """
        if stage not in self._encoders:
            return self._run(stage, arrays)
        return self._encoders[stage]({spec.name: arrays[spec.name] for spec in self.manifest.stages[stage].inputs})

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        """Latents from the conditions of a stage of kind sample and unit normal noise [B, *latents]; `draws`: the noise
        of later evaluations, of a sampler with churn."""
        part = self.manifest.stages[stage]
        assert part.sampling is not None
        conditions = {spec.name: arrays[spec.name] for spec in part.all_conditions}
        return sample(part.sampling, partial(self._run, stage), conditions, noise, on_step, draws)

    def session(self, stage: str) -> Session:
        """The opened program of a stage. Raises BundleError that lists the stages there are."""
        if stage not in self.manifest.stages:
            raise BundleError(f"{self.folder}: no stage '{stage}'; it has {', '.join(sorted(self.manifest.stages))}")
        with self._opening:
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
        session, part, target = self._opened(stage), self.manifest.stages[stage], self.manifest.target
        backend, options = (self.stand_in, {}) if self.stand_in else (target["backend"], target.get("session", {}))
        if part.kind in EVALUATED and keeps_plans(backend, options):
            return FewSizes(session, part.inputs, part.outputs)
        return session

    def _opened(self, stage: str) -> Session:
        target, engines = self.manifest.target, self.manifest.engines
        program = self.folder / self.manifest.stages[stage].program
        options = target.get("session", {})
        if self.stand_in:
            return open_session(self.stand_in, program, {"threads": options.get("threads", 0)})
        if engines:
            program = self.folder / engines.stages[stage].file
        packed = options.get("prepack") is None or self.manifest.stages[stage].kind in options["prepack"]
        return open_session(target["backend"], program, options | {"packed": packed})

    def _run(self, stage: str, arrays: Arrays) -> Arrays:
        found = self.session(stage).run(arrays)
        if missing := [tensor.name for tensor in self.manifest.stages[stage].outputs if tensor.name not in found]:
            raise BundleError(
                f"{self.folder}: the program of stage '{stage}' does not make {', '.join(missing)}, which the manifest "
                "lists: it is not the program that this manifest was written for"
            )
        return found
