"""rbench's speed, measured: a table against other libraries, growth, memory and workers, each figure beside its bar.

    python -m bench [--quick] [--only 'table/b,null'] [--cifar FILE.parquet] [--out DIR]

Every row is written as soon as it is measured, so an interrupted bench goes on where it was; it begins anew on another processor, with
other versions or other code of rbench. Writes JSON, Markdown and a figure into `results/bench`, or with `--quick` (minutes, no figures to
quote) into `runs/bench`. Ends with 1 where a bar is missed. Wants an idle machine; a full run takes hours.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from bench import growth, memory, null_model, table, workers
from bench.about import about
from bench.figure import NAME, pictures
from bench.limits import bars
from bench.page import page
from bench.rows import Journal, Row, Terms, chosen, measure
from bench.sections import sections
from rbench.allocator import keep_freed_memory
from rbench.results.files import write_bytes, write_text

FULL, QUICK = Path("results/bench"), Path("runs/bench")
PARTS = (null_model, workers, growth, memory, table)
"""Those that take minutes before the one that takes hours."""


def every_row(terms: Terms) -> Iterator[Row]:
    """All rows, in the order in which they are measured."""
    for part in PARTS:
        yield from part.rows(terms)


def write(folder: Path, journal: Journal, command: str, order: list[str]) -> int:
    """Writes what the journal holds; returns how many bars are missed."""
    found = journal.rows()
    rows = {name: found[name] for name in order if name in found}
    write_text(folder / "bench.json", json.dumps({"about": journal.about, "rows": rows}, indent=1) + "\n")
    drawn = pictures(rows)
    write_text(
        folder / "README.md", page(rows, journal.about, sections(rows), command, f"{NAME}.svg" if drawn else None)
    )
    for kind, data in drawn.items():
        write_bytes(folder / f"{NAME}.{kind}", data)
    return sum(not bar.met for name, row in rows.items() for bar in bars(name, row))


def main(arguments: list[str] | None = None) -> int:
    """Measures what is missing and writes the page; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images, pairs and steps: a few minutes")
    parser.add_argument("--only", help="names of rows or what they begin with, e.g. 'table/b/*/pgd,null'")
    parser.add_argument("--cifar", type=Path, help="parquet file of CIFAR-10 test images, for model d")
    parser.add_argument("--out", type=Path, help=f"folder to write to [{FULL}, or {QUICK} with --quick]")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and measure nothing")
    given = parser.parse_args(arguments)
    terms = Terms(given.quick, given.cifar)
    rows = list(every_row(terms))
    wanted = chosen(rows, given.only)
    if given.list:
        sys.stdout.write("".join(f"{row.name}\n" for row in wanted))
        return 0
    torch.set_num_threads(1)
    keep_freed_memory()  # as `rbench run` does; the others gain by it as well
    warnings.simplefilter("ignore")  # of old code in the libraries
    folder = given.out or (QUICK if terms.quick else FULL)
    journal = Journal(folder, about(quick=terms.quick))
    command = "python -m bench --quick" if terms.quick else "python -m bench"
    try:
        measure(wanted, journal, said)
    finally:  # an interrupted bench shows what it has
        missed = write(folder, journal, command, [row.name for row in rows])
    said(f"{folder}/README.md: {missed} bars are missed" if missed else f"{folder}/README.md: every bar is met")
    return int(missed > 0)


def said(line: str) -> None:
    """Says how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
