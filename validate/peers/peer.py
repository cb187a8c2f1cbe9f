"""What a peer is: data, read from peers.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from exporter.recipe.document import read_yaml, validate
from exporter.recipe.policy import Precision
from exporter.recipe.section import Section

PEERS = Path(__file__).parent / "peers.yaml"
SCRIPTS = Path(__file__).parent / "scripts"


class Peer(Section):
    """One quantizer: the script that runs it, and what has to be installed for that."""

    name: str = Field(description="Names its row and its bundle's folder", pattern=r"^[a-z0-9_]+$")
    title: str = Field(description="What the table calls it", min_length=1)
    script: str = Field(description="File in scripts/, called as SCRIPT PROGRAM OUTPUT SHARD…", pattern=r"^\w+\.py$")
    precision: Precision = Field(description="Precision of its layers")
    note: str = Field(default="", description="What has to be known to read its row")
    install: list[list[str]] = Field(description="Arguments of each pip install, in order", min_length=1)


class PeerFile(Section):
    """peers.yaml."""

    peers: list[Peer] = Field(description="Peers in the table's order")


def peers() -> list[Peer]:
    """All peers."""
    return validate(PeerFile, read_yaml(PEERS)).peers
