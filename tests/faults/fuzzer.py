"""`python -m tests.faults.fuzzer FOLDER FOUND COUNT SEED`: the process that libFuzzer runs in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["exporter", "yaml"]):
    from tests.faults.fuzzed_recipes import HANG_SECONDS, MEMORY, TOKENS, read, seeds

from tests.faults.children import limited_memory

LONGEST = 8192


def main() -> None:
    """Writes [case, lost] of every input to FOUND; a hang ends the process with libFuzzer's own report."""
    folder, found, count, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, text in enumerate(seeds(folder)):
        (corpus / str(number)).write_text(text, encoding="utf-8")
    dictionary = folder / "dictionary"
    dictionary.write_text("".join(f'"{_escaped(token)}"\n' for token in TOKENS if len(token) <= 64), encoding="utf-8")
    path = folder / "recipe.yaml"
    results: list[tuple[str, str]] = []

    def one_input(data: bytes) -> None:
        path.write_bytes(data)
        attempt = read(path)
        results.append((attempt.case, attempt.lost))
        if len(results) == count:
            found.write_text(json.dumps(results), encoding="utf-8")

    arguments = [f"-atheris_runs={count}", f"-seed={seed}", f"-max_len={LONGEST}", f"-timeout={10 * HANG_SECONDS:.0f}"]
    arguments += [f"-dict={dictionary}", f"-artifact_prefix={folder}/", "-rss_limit_mb=0", str(corpus)]
    atheris.Setup([sys.argv[0], *arguments], one_input)
    with limited_memory(MEMORY):
        atheris.Fuzz()


def _escaped(token: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token.encode())


if __name__ == "__main__":
    main()
