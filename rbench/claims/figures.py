"""What RobustBench has published of its models, by data set, threat and name."""

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "robustbench.json"


@dataclass(frozen=True)
class Published:
    """The robust accuracy that RobustBench has published of a model.

    Attributes:
        model: its name in the zoo.
        accuracy: under AutoAttack, a fraction of RobustBench's samples (10,000, of ImageNet 5,000).
        best_known: the lowest accuracy under any attack that RobustBench knows of, where it is another; else None.
        unreliable: whether RobustBench itself doubts the figure.
        paper: address of the paper.
    """

    model: str
    accuracy: float
    best_known: float | None
    unreliable: bool
    paper: str

    @property
    def source(self) -> str:
        """Who published it, of which paper, and whether they doubt it."""
        return f"{source()}; {self.paper}{'; called unreliable there' if self.unreliable else ''}"


def source() -> str:
    """Whose figures they are, and of which day."""
    return f"{_content()['name']} of {_content()['date']}"


def of_robustbench(model: str, dataset: str, norm: str, eps: Fraction) -> Published | None:
    """The figure of a model, if it was published for this data set and this very radius.

    Args:
        model: its name in the zoo.
        dataset: `cifar10`, `cifar100` or `imagenet`.
        norm: `Linf` or `L2`.
        eps: on the [0, 1] pixel scale; 8/255 is not 0.031.
    """
    row = _rows().get((dataset, norm, model))
    if row is None or row["autoattack"] is None or row["eps"] is None or Fraction(row["eps"]) != eps:
        return None
    best = row["external"]
    return Published(
        model=model,
        accuracy=_share(row["autoattack"]),
        best_known=None if best is None or best == row["autoattack"] else _share(best),
        unreliable=bool(row["unreliable"]),
        paper=row["paper"],
    )


def corruption_accuracy(model: str, dataset: str, trained: str) -> float | None:
    """The mean accuracy on common corruptions of a model that its zoo has for them; None if there is none.

    Args:
        model: its name in the zoo.
        dataset: `cifar10`, `cifar100` or `imagenet`.
        trained: the threat under which the zoo has it, of which `corruptions` alone has such figures.
    """
    row = _rows().get((dataset, "corruptions", model)) if trained == "corruptions" else None
    return None if row is None or row["corruptions"] is None else _share(row["corruptions"])


def _share(percent: float) -> float:
    return round(percent / 100, 6)


@cache
def _rows() -> dict[tuple[str, str, str], dict[str, Any]]:
    content = _content()
    rows = [dict(zip(content["columns"], values, strict=True)) for values in content["rows"]]
    return {(row["dataset"], row["threat"], row["model"]): row for row in rows}


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_FILE.read_text("utf-8"))
    return content
