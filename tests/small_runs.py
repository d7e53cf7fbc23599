"""Small suites on the bundled data and backbone, and ways to run them: in this process, or in one that can be killed."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rbench.cli.main import main
from rbench.results.record import Record, read_record
from rbench.results.store import RunFolder

SUITE = """\
suite: small
dataset: {name: fashion-mnist-mini, samples: 24}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers:
  - identity
  - {name: gaussian-noise, sigma: 0.1}
attacks:
  - {name: pgd, steps: 10, purifiers: [identity]}
  - {name: autoattack, version: custom, attacks: [apgd-ce], batch_size: 8, purifiers: [identity]}
  - {name: pgd, steps: 8, eot: 3, as: pgd+eot, purifiers: [gaussian-noise]}
protocol: {draws: 4, select_draws: 8}
"""
"""Three cells: our attack, a reference one that draws per batch, and EOT on a random defence."""

SHORT = (
    SUITE.replace("samples: 24", "samples: 12")
    .replace("batch_size: 8", "batch_size: 4")
    .replace("steps: 8, eot: 3", "steps: 2, eot: 3")
)
"""The same in a quarter of the time, for tests that run it again and again."""

PARTS = 9
"""Chunks of the short suite at `--batch-size 2`: three of four samples for each of the cells."""


def without(*words: str) -> str:
    """The suite without the lines that hold one of these words."""
    return "".join(line for line in SUITE.splitlines(True) if not any(word in line for word in words))


OURS = ("--only", "*/pgd*")
"""Leaves out the reference attack, which is slow."""


def rbench(*arguments: str | Path) -> int:
    """The command in this process; the exit code."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


def verify(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any], str]:
    """What `rbench verify` in this process ends with, says as JSON, and writes to stderr."""
    capsys.readouterr()
    code = rbench("verify", root, "--json", *options)
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.err


def faults(found: dict[str, Any]) -> list[str]:
    """The faults of all cells of a verification."""
    return [fault for cell in found["cells"] for fault in cell["faults"]]


def environment(**changes: str | None) -> dict[str, str]:
    """That of this process with one thread, and changes; None takes a variable out."""
    changed = {**os.environ, "OMP_NUM_THREADS": "1", **changes}
    return {name: value for name, value in changed.items() if value is not None}


def command(*arguments: str | Path) -> list[str]:
    """The command line of another process."""
    return [sys.executable, "-m", "rbench", *map(str, arguments)]


HELD = """\
import sys, time
from rbench.cli.main import main
from rbench.results.store import RunFolder
write_chunk, left = RunFolder.write_chunk, int(sys.argv[1])
def write_and_wait(*arguments):
    global left
    write_chunk(*arguments)
    left -= 1
    while left == 0:
        time.sleep(0.01)
RunFolder.write_chunk = write_and_wait
main(sys.argv[2:])
"""
"""A run that waits for a signal after so many chunks, so that it cannot end before a slow test sends one."""


@contextmanager
def running(*arguments: str | Path, until: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """The command in another process, killed at the end if it still runs.

    Args:
        arguments: of the command.
        until: how many chunks it writes before it waits for a signal; without end if not given.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = command(*arguments) if until is None else [sys.executable, "-c", HELD, str(until), *map(str, arguments)]
    process = subprocess.Popen(line, env=environment(), **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits until something is true while a process runs; should it never be, the time limit of the test ends it."""
    while not condition():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def chunks(root: Path) -> list[str]:
    """The kept chunks, as `cell/start-stop`."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in root.glob("chunks/*/*.safetensors"))


def unfinished(root: Path) -> list[str]:
    """The kept chunks of cells that have no record yet."""
    return [name for name in chunks(root) if not (root / "records" / f"{name.partition('/')[0]}.json").exists()]


def records(root: Path) -> dict[str, Record]:
    """Records by the label of their attack and purifier."""
    found = [read_record(path) for path in RunFolder(root).record_paths()]
    return {f"{record.purifier.label}/{record.attack.label}": record for record in found}


def outcome(root: Path) -> dict[str, tuple[object, ...]]:
    """What must not depend on kills: per cell its state, hashes, figures, flags and costs, but no times."""
    return {
        record.id: (
            record.status,
            record.result_hash,
            record.provenance.get("images_sha256"),
            record.summary,
            record.flags,
            record.cost.model_copy(update={"seconds": 0.0}),
            _sha256(root / "samples" / f"{record.id}.parquet"),
            _sha256(root / "images" / f"{record.id}.safetensors"),
        )
        for record in records(root).values()
    }


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def content(root: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def litter(root: Path) -> list[str]:
    """Files that a finished run must not leave."""
    return [name for name in content(root) if name.startswith("chunks/") or name.endswith((".tmp", ".lock"))]
