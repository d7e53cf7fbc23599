"""Rows that were judged alike, under one heading."""

from itertools import groupby
from typing import Any

from rbench.reports.plain import named
from rbench.results.table import Table
from rbench.suite.cell import JUDGE_VERSION

Row = dict[str, Any]


def groups(table: Table) -> list[list[Row]]:
    """The table's rows in groups that were judged on the same samples, threat and protocol."""
    return [list(rows) for _, rows in groupby(table.rows(), key=lambda row: row["group"])]


def by_backbone(rows: list[Row]) -> list[list[Row]]:
    """The rows of a group split by backbone, that of the best row first; ranks are still those of the whole group."""
    names = dict.fromkeys(row["backbone"] for row in rows)
    return [[row for row in rows if row["backbone"] == name] for name in names]


def heading(rows: list[Row]) -> str:
    """Data set, samples and threat of a group on one harmless line; the backbone if there is only one, the rules if not today's."""
    first = rows[0]
    n = "?" if first["n"] is None else f"{first['n']:,}"
    backbones = {row["backbone"] for row in rows}
    one = [named(first["backbone"])] if len(backbones) == 1 else []
    rules = [] if first["judge"] == str(JUDGE_VERSION) else [f"judged by version {named(first['judge'])} of the rules"]
    radius = named(f"{first['norm']} {first['eps_text']}")
    return ", ".join([f"{named(first['dataset'])} ({n} samples)", *one, radius, *rules])


def never_run(row: Row) -> bool:
    """Whether a row was planned and nothing of it has been run, as the rows that `--only` left out."""
    return (
        row["robust_accuracy"] is None and row["standard_accuracy"] is None and str(row["status"]).startswith("missing")
    )


def remark(rows: list[Row]) -> str:
    """How random purifiers were judged; empty if there are none."""
    draws = max(row["draws"] or 1 for row in rows)
    if draws == 1:
        return ""
    if rows[0]["decide"] == "any":
        return (
            f"Random purifiers: any-of-{draws}, an attacker who submits an image {draws} times and needs one success; standard and noise "
            "accuracy are counted the same way."
        )
    rules = {"mean": "the mean", "majority": "the majority"}
    return f"Random purifiers: {rules.get(rows[0]['decide'], rows[0]['decide'])} of {draws} draws for each sample."
