"""The generated pages have everything that they are generated from, and need no PyTorch."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from types import ModuleType

import pytest

from exporter.manifest import Manifest
from exporter.recipe.recipe import Recipe
from exporter.targets.target import Target, target_names
from t3export.cli import COMMANDS
from t3export.section_fields import fields_of
from tests.pages import ROOT

HOOK = ROOT / "docs/reference/generate.py"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    found = importlib.util.spec_from_file_location("generate", HOOK)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_verb_has_its_help(pages):
    text = pages.commands_page()
    assert all(f"\n### {name}\n" in text and f"Usage: t3export {name} " in text for name in COMMANDS)
    assert "#### targets explain" in text and "#### keys new" in text


@pytest.mark.parametrize("section", [Recipe, Target])
def test_every_field_has_a_row(pages, section):
    text = pages.fields_page("Title", "Introduction.", section)
    sections = {
        name for name in fields_of(section) if any(other.startswith(f"{name}.") for other in fields_of(section))
    }
    assert all(f"| `{name}` |" in text or f"## {name}\n" in text for name in {*fields_of(section)} - sections)
    assert all(f"## {name}\n" in text for name in sections if "." not in name)


def test_every_target_that_ships_is_listed(pages):
    assert all(f"| `{name}` |" in pages.targets_list() for name in target_names())


def test_the_manifest_has_its_fields_and_links_to_parts_that_are_there(pages):
    text = pages.manifest_page()
    assert all(f"| `{name}` |" in text for name in Manifest.model_fields) and "## StagePart" in text
    assert set(re.findall(r"\(#(\w+)\)", text)) <= {name.lower() for name in re.findall(r"^## (\w+)", text, re.M)}


def test_the_javascript_page_has_what_the_client_exports(pages):
    text = pages.javascript_page()
    assert "static async open(location)\n" in text
    assert "function toGlb({ vertices, faces, colors }, { texture, ...others } = {})\n" in text
    assert "Unit normal noise" in text.partition("## noise")[2] and "constructor(programs, given" in text


def test_source_is_what_stands_in_the_file(pages):
    text = pages.source("exporter/errors.py", ["BundleError", "first_of"])
    assert text.startswith("class BundleError(T3Error):") and text.endswith("list(lines)")
    with pytest.raises(pages.PluginError, match=r"exporter/errors\.py does not define Nothing"):
        pages.source("exporter/errors.py", ["Nothing"])


def test_a_link_out_of_the_site_leads_to_the_repository_or_nowhere(pages):
    class At:
        src_uri = "guides/web.md"

    class APage:
        file = At

    class Config:
        repo_url = "https://example.org/t3export/"

    text = "[a](../adopt.md) [b](../../README.md) [c](https://example.org)"
    assert pages.on_page_markdown(text, APage, Config, None) == (
        "[a](../adopt.md) [b](https://example.org/t3export/blob/main/README.md) [c](https://example.org)"
    )
    Config.repo_url = ""
    assert pages.on_page_markdown(text, APage, Config, None) == "[a](../adopt.md) b [c](https://example.org)"
    with pytest.raises(pages.PluginError, match=r"there is not"):
        pages.on_page_markdown("[d](../../nowhere.md)", APage, Config, None)


def test_the_pages_are_generated_where_pytorch_was_never_installed():
    blocked = ["torch", "diffusers", "transformers", "onnx", "onnxscript", "onnxruntime", "safetensors"]
    code = (
        f"import sys, runpy\nfor name in {blocked}: sys.modules[name] = None\n"
        f"pages = runpy.run_path({str(HOOK)!r})\n"
        "pages['commands_page'](); pages['manifest_page'](); pages['javascript_page'](); pages['targets_list']()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
