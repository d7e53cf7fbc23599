"""The page of a GPU's figures."""

from typing import Any

from bench.limits import NEVER_SLOWER

COMMAND = "python -m bench.gpu"


def page(found: dict[str, Any]) -> str:
    """What `bench.gpu` found, as Markdown; what is above its bar is marked."""
    parts = [
        f"## {title}\n\n{text}{_facts(found[name])}\n\n{told(found[name]['found'])}"
        for name, (title, text, told) in _PARTS.items()
        if name in found
    ]
    return "\n\n".join([f"# rbench on a GPU\n\nMeasured by `{COMMAND}`.", *parts]) + "\n"


def _facts(part: dict[str, Any]) -> str:
    facts = "; ".join(f"{name} {value}" for name, value in part["about"].items()) + "."
    return f"{facts} {part['note']}" if "note" in part else facts


def _suites(suites: list[dict[str, Any]]) -> str:
    return "\n".join(f"- {_suite(one)}" for one in suites)


def _ended(one: dict[str, Any]) -> str:
    good = "passed" if one["ended"] == "0" else f"**ended with {one['ended']}**"
    return f"{good} in {one['seconds']:.0f} s: `{one['last']}`"


def _suite(one: dict[str, Any]) -> str:
    if "missing" in one:
        return f"`{one['name']}` was not run: {one['missing']}"
    whole = (
        ""
        if one["done"] == one["cells"] and one["ended"] == "0"
        else f" (**not all: {one['ended']}**, limit {one['limit']:.0f} s)"
    )
    return f"`{one['name']}`: {one['done']} of {one['cells']} cells in {one['seconds']:.0f} s{whole}"


def _steps(rows: list[dict[str, Any]]) -> str:
    lines = ["| attack | images | steps | waits a query | kernels at work |", "|---|---:|---:|---:|---:|"]
    for one in rows:
        figure = f"{one['waits a query']:.3f}"
        if one["waits a query"] > one["bar"] + 1e-9:
            figure = f"**{figure}** (bar {one['bar']:g}, missed)"
        lines.append(
            f"| {one['attack']} | {one['images']} | {one['steps']} | {figure} | {one['kernels at work']:.0%} |"
        )
    return "\n".join(lines)


def _comparisons(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| model | survive | attack | images | rbench s | against | s | ratio |",
        "|---|---|---|---:|---:|---|---:|---:|",
    ]
    for row in rows:
        head = f"| {row['model']} | {row['share']} | {row['attack']}"
        if "missing" in row:
            lines.append(f"{head} | | | {row['missing']} | | |")
            continue
        for library, figures in row["references"].items():
            if "missing" in figures:
                lines.append(f"{head} | {row['images']} | | {library}: {figures['missing']} | | |")
                continue
            ratio = f"{figures['ratio']:.2f}"
            ratio = ratio if figures["ratio"] >= NEVER_SLOWER else f"**{ratio}** (bar {NEVER_SLOWER:g}, missed)"
            mine, theirs = row["rbench"]["seconds"], figures["seconds"]
            lines.append(f"{head} | {row['images']} | {mine:.2f} | {library} | {theirs:.2f} | {ratio} |")
    return "\n".join(lines)


_PARTS = {
    "tests": ("Tests marked `gpu`", "", _ended),
    "steps": (
        "Waits for the device and kernels at work",
        "Attacks on model b that everybody survives, one batch; waits are counted by torch's profiler, from two runs of different length, "
        "so beginning and end do not count. ",
        _steps,
    ),
    "suites": ("Suites", "", _suites),
    "comparisons": (
        "Against others on the same card",
        "Seconds on the wall with the device idle before and after; medians of pairs in turn, ratio above 1: rbench is faster. ",
        _comparisons,
    ),
}
