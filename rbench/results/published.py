"""The published figure of a row: for the same model, data set and threat, and nothing in front of the model."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rbench.claims.data_sets import data_set
from rbench.claims.figures import Published, of_robustbench
from rbench.results.columns import Column
from rbench.results.runs import ReadCell

COLUMNS: dict[str, Column] = {
    "published": Column(
        "Robust accuracy that RobustBench published of the same model, data set (by its name) and threat, under AutoAttack on its own "
        "samples; empty if it has none.",
        "fraction",
        "higher",
    ),
    "published_inside": Column("Whether the interval of robust accuracy holds the published figure.", "yes/no"),
    "published_best_known": Column(
        "Lowest accuracy of the model under any attack that RobustBench knows of, if it is not that under AutoAttack.",
        "fraction",
        "higher",
    ),
    "published_source": Column("Who published the figure, when, and of which paper.", "text"),
}
"""Columns of a leaderboard in which some row has a published figure; any other has none of them."""

_EXACT = re.compile(r"\d{1,18}(/\d{1,18})?")
_OURS = {"head", "class_names"}
"""What a suite changes in a model, which then is another one."""


def published_of(cell: ReadCell) -> Published | None:
    """The figure published for what a cell attacks; None if there is none.

    Args:
        cell: any of a row; what it says may be anybody's.
    """
    backbone, dataset, threat = (cell.part(name) for name in ("backbone", "dataset", "threat"))
    source, _, model = str(backbone.get("name")).partition(":")
    params = _map(backbone.get("params"))
    if source != "robustbench" or cell.part("purifier").get("name") != "identity" or _OURS & params.keys():
        return None
    judged_on = data_set(str(dataset.get("name")), cell.label("dataset"), _map(dataset.get("params")))
    norm, radius = str(threat.get("norm")), _exact(str(threat.get("eps")))
    trained = (params.get("dataset"), params.get("threat"))
    if judged_on is None or radius is None or threat.get("kind", "ball") != "ball" or trained != (judged_on, norm):
        return None
    return of_robustbench(model, judged_on, norm, radius)


def fields_of(claim: Published, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row with a published figure.

    Args:
        claim: the figure.
        row: the other columns.
    """
    low, high = row.get("robust_low"), row.get("robust_high")
    return {
        "published": claim.accuracy,
        "published_inside": None if low is None or high is None else low <= claim.accuracy <= high,
        "published_best_known": claim.best_known,
        "published_source": claim.source,
    }


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _exact(text: str) -> Fraction | None:
    """The radius of a cell, which writes it as `a/b`; whatever else somebody wrote is none, and not worked out."""
    numbers = [int(part) for part in text.split("/")] if _EXACT.fullmatch(text) else []
    return Fraction(*numbers) if numbers and all(numbers) else None
