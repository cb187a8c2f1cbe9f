"""What a name of Shap-E's weights leads to, whatever the model is conditioned on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic

from exporter.families.part_files import ModelFiles, Needed, find_parts
from exporter.families.repository import Repository, open_repository
from exporter.families.shap_e.latent_model import AnyLatentModel, changed_weights, refuse_settings
from exporter.families.shap_e.openai_files import OpenAIModel, is_openai, what_it_is


@dataclass(frozen=True)
class NamedWeights(Generic[AnyLatentModel]):
    """How the models of one condition are made: of a random name, of OpenAI's own files, of files in the hub's layout.

    `condition`: 'text' or 'image'; `zoo`: the folders of each trained model; `needed`: the files of each part.
    `open_openai` takes a folder, and which decoder and CLIP are meant.
    """

    condition: str
    zoo: Mapping[str, tuple[str, ...]]
    needed: Mapping[str, Needed]
    random: Callable[[str], AnyLatentModel]
    open_openai: Callable[[Repository, str | None, str | None], OpenAIModel]
    of_openai: Callable[[OpenAIModel], AnyLatentModel]
    of_hub: Callable[[ModelFiles], AnyLatentModel]

    def load(self, weights: str, variant: str | None, decoder: str | None, clip: str | None) -> AnyLatentModel:
        """The model of these weights: one of the zoo, a folder, 'org/name[@revision]' on the hub,
        'random:SIZE[:seed]', or any of these with synthetic outliers, 'stress:WEIGHTS[:factor]', or with a field of a
        known shape, 'shaped:WEIGHTS[:shape]'. A folder has the hub's layout, or OpenAI's own files.

        `variant`: of the hub's files, such as 'fp16'. `decoder`, `clip`: of OpenAI's own files, as of
        `open_openai_text`. Raises WeightsError, RecipeError for a setting that these weights have no use for.
        """
        again = partial(self.load, variant=variant, decoder=decoder, clip=clip)
        if changed := changed_weights(weights, again):
            return changed
        if weights.startswith("random:"):
            refuse_settings("random weights have none", variant=variant, decoder=decoder, clip=clip)
            return self.random(weights)
        repository = weights if weights in self.zoo else open_repository(weights)
        if not isinstance(repository, str) and is_openai(repository.names):
            refuse_settings("OpenAI's own files come in one precision", variant=variant)
            return self.of_openai(self.open_openai(repository, decoder, clip))
        refuse_settings("it is about OpenAI's own files, which these are not", decoder=decoder, clip=clip)
        explain = partial(what_it_is, kind=self.condition)
        return self.of_hub(find_parts(repository, self.zoo, self.needed, variant, explain))
