"""What is read of the system's own words about its processor."""

from __future__ import annotations

from pathlib import Path

import pytest

import exporter
from exporter.machine.processor import this_processor, threads_to_use, usable_processors
from exporter.runtime.bundle import Bundle


def test_the_flags_that_matter_are_read(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: A Fast One\nflags\t\t: fpu avx2 avx512_vnni amx_bf16\nmodel name\t: A Fast One\n")
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", told)
    found = this_processor()
    assert found.name == "A Fast One" and found.decisive_flags == ["avx2", "avx512_vnni", "amx_bf16"]
    assert found.has_vnni and found.has_bf16


def test_arm64s_features_are_read(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n")
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", told)
    found = this_processor()
    assert found.decisive_flags == ["asimd", "asimddp", "i8mm"] and found.name and not found.has_vnni


def test_a_system_that_tells_nothing_has_no_flags(tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.machine.processor._CPUINFO", tmp_path / "absent")
    assert this_processor().decisive_flags == [] and usable_processors() >= 1


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Writes what the system says of control groups; the process may use eight processors otherwise."""
    monkeypatch.setattr("exporter.machine.processor._allowed_processors", lambda: 8)
    monkeypatch.setattr("exporter.machine.processor._GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("exporter.machine.processor._GROUP_FILES", tmp_path / "fs")

    def write(membership, **files):
        (tmp_path / "cgroup").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "fs" / name.replace("__", "/").replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({"cpu_max": "200000 100000\n"}, 2),
        ({"cpu_max": "150000 100000\n"}, 2),
        ({"cpu_max": "10000 100000\n"}, 1),
        ({"cpu_max": "max 100000\n"}, 8),
        ({"cpu_max": "1600000 100000\n"}, 8),
        ({"pod__a__cpu_max": "max 100000\n", "pod__cpu_max": "300000 100000\n"}, 3),
        ({"cpu_max": "nonsense\n"}, 8),
        ({}, 8),
    ],
)
def test_a_containers_quota_counts(groups, files, usable):
    groups("0::/pod/a\n", **files)
    assert usable_processors() == usable
    assert threads_to_use(0) == (usable if usable < 8 else 0) and threads_to_use(5) == 5


def test_the_quota_of_the_first_version_counts(groups):
    groups(
        "4:memory:/x\n3:cpu,cpuacct:/box\n0::/\n",
        cpu__box__cpu_cfs_quota_us="400000\n",
        cpu__box__cpu_cfs_period_us="100000\n",
        cpu__cpu_cfs_quota_us="-1\n",
        cpu__cpu_cfs_period_us="100000\n",
    )
    assert usable_processors() == 4


def test_runtimes_are_given_the_threads_of_the_quota(groups, toy_bundle, monkeypatch):
    groups("0::/\n", cpu_max="300000 100000\n")
    session = Bundle.open(toy_bundle).session("field")
    assert session._session.get_session_options().intra_op_num_threads == 3


def test_no_command_counts_the_hosts_cores():
    root = Path(exporter.__path__[0]).parent
    floors = [path for floor in ("exporter", "validate", "t3export") for path in (root / floor).rglob("*.py")]
    counting = [path.name for path in floors if "cpu_count(" in path.read_text(encoding="utf-8")]
    assert counting == ["processor.py"]
