"""Ours beside what was published, in words."""

from collections.abc import Sequence

from rbench.claims.figures import source
from rbench.reports.groups import Row
from rbench.reports.plain import percent


def has_published(rows: Sequence[Row]) -> bool:
    """Whether one of the rows has a published figure; the columns of it are there only then."""
    return any(row.get("published") is not None for row in rows)


def mark(row: Row) -> str:
    """`inside` or `outside` our interval; empty where one of the two is missing."""
    inside = row.get("published_inside")
    return "" if inside is None else "inside" if inside else "outside"


def beside(row: Row) -> str:
    """The figure in percent with its mark; empty if there is none."""
    published = row.get("published")
    return "" if published is None else f"{percent(published)} {mark(row)}".rstrip()


def comparison(row: Row) -> str:
    """Published, ours, the difference, and whether our interval holds the figure; empty if there is none."""
    published, ours = row.get("published"), row["robust_accuracy"]
    if published is None:
        return ""
    parts = [f"published {percent(published)}"]
    if ours is None:
        parts.append("ours is blocked")
    else:
        interval = f"{percent(row['robust_low'])}-{percent(row['robust_high'])}"
        parts.append(
            f"ours {percent(ours)}, difference {100 * (ours - published):+.1f}, {mark(row)} our interval {interval}"
        )
    if row.get("published_best_known") is not None:
        parts.append(f"best known attack {percent(row['published_best_known'])}")
    return "; ".join(parts)


def legend() -> str:
    """What the figures are, for below a table."""
    return (
        f"published: what {source()} has of the same model, data set (by its name) and threat under AutoAttack, on 10,000 images (of "
        "ImageNet 5,000); inside: our 95 % interval holds it."
    )
