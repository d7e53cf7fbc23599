"""The tables of the page: their columns, and what these mean."""

from collections.abc import Iterator

from bench.models import NAMES
from bench.page import Column, Line, Rows, Section

TABLE = (
    "Medians of pairs in turn. `survive` is the share of images that no point in the ball fools, `differ` how many samples have another "
    "verdict than rbench's; `ratio` is the processor time of the other over that of rbench, above 1 rbench is faster. P is passes spent "
    "over passes needed by rbench's samples (none after the query that fools one), O time over that of the passes alone, replayed in "
    "batches of the same sizes. rbench's attack is timed alone, on the backbone prepared for attacks; its audit and judging stand "
    "beside it, in seconds for all images."
)
COLUMNS = (
    Column("survive", "share"),
    Column("attack", "attack"),
    Column("images", "images"),
    Column("pairs", "pairs"),
    Column("budget", "budget"),
    Column("survive rbench", "robust", "{:.2f}"),
    Column("ms an image", "ms", "{:.1f}"),
    Column("P", "P", "{:.2f}"),
    Column("O", "O", "{:.3f}"),
    Column("audit", "audit", "{:.2f}"),
    Column("judging", "judging", "{:.2f}"),
    Column("against", "library"),
    Column("survive", "their robust", "{:.2f}"),
    Column("differ", "differ"),
    Column("P", "their P", "{:.2f}"),
    Column("O", "their O", "{:.3f}"),
    Column("ratio", "ratio", "{:.2f}"),
)


def table_lines(row: Line) -> list[Line]:
    """A line for each library that the row was measured against."""
    mine, shown = row["rbench"], row["budget"]
    budget = {
        "pgd": f"{shown['pgd']} steps",
        "square": f"{shown['queries']} queries",
        "apgd": f"{shown['steps']} steps",
    }
    every = f"{shown['steps']} steps, {shown['targets']} targets"
    whole = f"{every}, {shown['queries']} queries" if row["attack"] == "autoattack" else every
    first: Line = {
        **{key: row[key] for key in ("share", "attack", "images", "pairs", "audit", "judging")},
        **{key: mine[key] for key in ("robust", "P", "O")},
        "budget": budget.get(row["attack"], whole),
        "ms": mine["seconds"] / row["images"] * 1e3,
    }
    lines = []
    for place, (library, figures) in enumerate(row["references"].items()):
        own = first if place == 0 else {}
        if "missing" in figures:
            lines.append({**own, "library": f"{library}: {figures['missing']}", "bars": {"O": "rbench.O"}})
            continue
        theirs = {f"their {key}": figures[key] for key in ("robust", "P", "O")}
        said = {"library": library, "differ": figures["differ"], "ratio": figures["ratio"]}
        lines.append({**own, **theirs, **said, "bars": {"O": "rbench.O", "ratio": f"{library}.ratio"}})
    return lines


def sections(rows: Rows) -> list[Section]:
    """All tables; those of models carry what is to be known of the model."""
    return [*_models(rows), *OTHERS]


def _models(rows: Rows) -> Iterator[Section]:
    text = TABLE
    for letter, name in NAMES.items():
        own = [row for key, row in rows.items() if key.startswith(f"table/{letter}/")]
        notes = sorted({row.get(key, "") for row in own for key in ("note", "proposing")} - {""})
        said = " ".join([text, *(f"{note[0].upper()}{note[1:]}." for note in notes)])
        yield Section(f"Model {letter}: {name}", f"table/{letter}", said, COLUMNS, table_lines)
        text = "Columns as above." if own else text


OTHERS = (
    Section(
        "Outside model and autograd",
        "null",
        "Microseconds an image and step on a linear layer over 16 pixels, batches of 32 that nobody leaves.",
        [
            Column("attack", "attack"),
            Column("steps", "steps"),
            Column("rbench", "rbench", "{:.1f}"),
            Column("reference", "reference"),
            Column("its code", "their", "{:.1f}"),
        ],
    ),
    Section(
        "Images",
        "growth/images",
        "PGD of 40 steps on model b, batches of 64.",
        [
            Column("images", "images"),
            Column("seconds", "seconds", "{:.2f}"),
            Column("ms an image", "ms", "{:.2f}"),
        ],
    ),
    Section(
        "Batch size",
        "growth/batch",
        "The same with batches of other sizes.",
        [Column("batch", "batch"), Column("images", "images"), Column("ms an image", "ms", "{:.2f}")],
    ),
    Section(
        "Draws a gradient (EOT)",
        "growth/eot",
        "PGD on model a behind Gaussian noise of 0.1, 32 images.",
        [
            Column("draws", "draws"),
            Column("steps", "steps"),
            Column("ms an image", "ms", "{:.1f}"),
            Column("ms an image and draw", "ms a draw", "{:.2f}"),
        ],
    ),
    Section(
        "Cells",
        "growth/cells",
        "Processor seconds of `rbench plan` from the start of the interpreter, and of making as many cells ready to be attacked: one "
        "defended model (model b, 64 images), two radii. What the first cell takes is the audit; the second radius has a part of its own.",
        [
            Column("cells", "cells"),
            Column("plan", "plan", "{:.2f}"),
            Column("all audits", "audit", "{:.2f}"),
            Column("first cell", "first audit", "{:.2f}"),
            Column("ms a further cell", "ms a cell", "{:.2f}"),
        ],
    ),
    Section(
        "Peak memory of a run",
        "memory/run",
        "MiB of `rbench run --workers 0`: FGSM on a model without weights, 224x224, every image kept. `import torch` alone beside it.",
        [
            Column("images", "images"),
            Column("peak", "peak", "{:.0f}"),
            Column("torch alone", "bare", "{:.0f}"),
            Column("seconds on the wall", "wall", "{:.1f}"),
        ],
    ),
    Section(
        "Audit at 224x224",
        "memory/audit",
        "Model e, 16 images: MiB above the process that has loaded it and asked it once, and processor seconds.",
        [
            Column("above the model", "above the model", "{:.0f}"),
            Column("seconds", "seconds", "{:.1f}"),
            Column("model", "note"),
        ],
    ),
    Section(
        "Two workers against one",
        "workers",
        "Seconds on the wall of `rbench run` of a suite of eight cells, one thread a process, in turn.",
        [
            Column("samples", "samples"),
            Column("pairs", "pairs"),
            Column("one worker", "1 worker", "{:.1f}"),
            Column("two workers", "2 worker", "{:.1f}"),
            Column("ratio", "ratio", "{:.2f}"),
            Column("same result hashes", "same hashes"),
        ],
    ),
)
