from __future__ import annotations

import pytest

from tests.exporter.quantize.bench import tiny_recipe


@pytest.fixture(scope="session")
def workbench(tiny_folder, tmp_path_factory):
    """A workbench of the tiny model with a cache of its own."""
    from exporter.files.cache import Cache
    from exporter.search.workbench import Workbench
    from exporter.targets.target import load_target

    cache = Cache(tmp_path_factory.mktemp("workbench"))
    return Workbench(tiny_recipe(tiny_folder), load_target("cpu"), cache, prompts=2)
