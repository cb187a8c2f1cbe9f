"""What a session tells when it cannot be opened; sessions that run are in backends/executorch."""

from __future__ import annotations

import json

import pytest
import torch
from executorch.exir import to_edge

from exporter.errors import BundleError, EnvironmentProblem
from exporter.runtime.sessions import executorch
from exporter.runtime.sessions.session import open_session


class Sorted(torch.nn.Module):
    """ExecuTorch has no kernel for this."""

    def forward(self, values):
        return torch.sort(values).values


@pytest.fixture
def program(tmp_path):
    (tmp_path / "signature.json").write_text(json.dumps({"inputs": [], "outputs": [], "largest": {}}))
    path = tmp_path / "program.pte"
    path.write_bytes(b"not a program")
    return path


def test_a_broken_program_is_refused(program, capfd):
    with pytest.raises(BundleError, match=r"program\.pte: ExecuTorch cannot open it: Failed to load program"):
        open_session("executorch", program, {"threads": 1})
    assert capfd.readouterr().err == ""


def test_why_a_program_cannot_be_opened_is_told_in_the_runtimes_own_words(program):
    exported = torch.export.export(Sorted(), (torch.zeros(3),))
    program.write_bytes(to_edge(exported).to_executorch().buffer)
    with pytest.raises(BundleError, match=r"error: 0x:14(.|\n)*Missing operator: .* aten::sort\.values"):
        open_session("executorch", program, {})


def test_a_program_without_its_signature_is_refused(program):
    (program.parent / "signature.json").unlink()
    with pytest.raises(BundleError, match=r"signature\.json: cannot be read"):
        open_session("executorch", program, {})


def test_without_executorch_it_is_told_what_to_install(program, monkeypatch):
    monkeypatch.setattr(executorch, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"pip install executorch==1\.5\.1"):
        open_session("executorch", program, {})
