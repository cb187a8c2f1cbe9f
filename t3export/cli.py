"""The command line: verbs imported when they are called, and every error turned into a message and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

import click

from exporter.errors import did_you_mean
from exporter.machine.processor import threads_to_use
from t3export.failures import INTERRUPTED, Failure, failure_of, resumption
from t3export.machine import own_version
from t3export.output import print_error, print_json, print_note
from t3export.streams import READER_GONE, OutputLost, guard_streams

GROUPS = {
    "Make": {
        "build": "Turn a recipe into a bundle for a target.",
        "adopt": "Make a bundle of ONNX files that somebody else exported.",
        "finish": "Build and check a bundle's engines, on the device itself.",
    },
    "Run": {
        "run": "Make meshes and pictures with a bundle.",
        "serve": "Serve a bundle's page, or an interface that makes files.",
    },
    "Prove": {
        "validate": "Compare a bundle with the PyTorch reference.",
        "report": "Write the page of a bundle's last validation again.",
        "diff": "Show what changed between two bundles.",
        "bisect": "Find the first tensor that breaks a bundle's tolerance.",
        "ci": "Compare recipes on targets with a baseline.",
    },
    "Tune": {
        "bench": "Measure how long a bundle takes, and PyTorch beside it.",
        "table": "Measure what each quantization costs and saves.",
        "sensitivity": "Measure what each layer loses and saves in each precision.",
        "tune": "Find the cheapest sampler and policy that are good enough.",
    },
    "Ship": {
        "release": "Turn validated bundles into a signed release.",
        "pull": "Fetch a release, verified, or go back to the version before.",
        "verify": "Check a release or a pulled bundle against its signature.",
        "blender": "Pack a bundle as an extension of Blender.",
        "keys": "Make the key that signs releases, or choose whose are trusted.",
    },
    "Look": {
        "recipe": "Show, check or explain a recipe.",
        "targets": "List, check or explain the targets.",
        "inspect": "Show what is in a bundle, every hash verified.",
        "cache": "List the cached build steps, or prune them.",
        "doctor": "Show what is installed and what each target lacks.",
    },
}
COMMANDS = {name: about for verbs in GROUPS.values() for name, about in verbs.items()}


class Verbs(click.Group):
    """Commands by name; a module is imported only when its command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"t3export.commands.{cmd_name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            raise click.UsageError(f"no command '{args[0]}'; {did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, COMMANDS))
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(widest), about) for name, about in verbs.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(own_version(), prog_name="t3export")
def cli() -> None:
    """Take text-to-3D models out of PyTorch and onto devices, and prove that they still work there.

    \b
    Start here:
      t3export build recipes/shape_e_int8.yaml --target cpu
      t3export validate artifacts/shape_e_int8/cpu
      t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" -o chair.glb

    \b
    Exit codes: 0 done, 1 failed, 2 wrong input, 3 weights,
    4 a bundle is missing, damaged or cannot be used like that,
    5 validation failed, 6 something is missing on this machine, 130 interrupted,
    141 nobody reads the output any more.
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    guard_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    # Python's own helpers of process pools too import nothing from the working directory (from Python 3.11 on).
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    if threads := threads_to_use(0):
        # PyTorch and numpy's products know of no quota, and read this when they are first imported.
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Runs the command line and gives its exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except OutputLost as error:
        if error.exit_code != READER_GONE:
            print_error(str(error))
        return error.exit_code


def _run(arguments: list[str]) -> int:
    try:
        return cli.main(arguments, prog_name="t3export", standalone_mode=False) or 0
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.ClickException as error:
        error.show()
        return _left(arguments, Failure(type(error).__name__, error.format_message(), error.exit_code))
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error)
        if failure is None:
            raise
        print_error(failure.message)
        if failure.exit_code == INTERRUPTED:
            print_note(resumption(arguments))
        return _left(arguments, failure)


def _left(arguments: list[str], failure: Failure) -> int:
    """The exit code of a failure that a person was told; with --json programs are told it too."""
    if "--json" in arguments:
        print_json({"error": {"kind": failure.kind, "message": failure.message, "exit_code": failure.exit_code}})
    return failure.exit_code


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
