"""What was measured of a defended model, part by part: radii share what was seen on clean images, batch sizes what was seen on a few."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from rbench.engine.audited_images import Questions
from rbench.engine.defended import DefendedModel
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

Found = TypeVar("Found")


@dataclass
class Parts:
    """The parts of the audits of one defended model, each with the questions that it took."""

    _made: dict[tuple[Hashable, ...], tuple[Any, Questions]] = field(default_factory=dict)

    def asking(self, model: DefendedModel, noise: Noise) -> "Asking":
        """Begins an audit.

        Args:
            model: always the same.
            noise: the root of the cell's randomness.
        """
        return Asking(self._made, model, noise)


class Asking:
    """One audit: what it needs is measured or was measured before."""

    def __init__(
        self, made: dict[tuple[Hashable, ...], tuple[Any, Questions]], model: DefendedModel, noise: Noise
    ) -> None:
        self.made, self.model, self.noise = made, model, noise
        self._asked: list[Questions] = []

    def once(self, what: str, shown: Sequence[Batch], measure: Callable[[Questions], Found]) -> Found:
        """What was found, measured now if it was not before.

        Args:
            what: is measured; equal names measure the same.
            shown: all images that it depends on.
            measure: is handed what it asks with.

        Raises:
            CellFailed: the defended model cannot be judged.
        """
        key = (what, self.noise.seed, *map(content, shown))
        if key not in self.made:
            questions = Questions(self.model, self.noise)
            self.made[key] = measure(questions), questions
        found: Found
        found, questions = self.made[key]
        self._asked.append(questions)
        return found

    @property
    def changes(self) -> bool:
        """Whether some purified pixel was not as it was shown."""
        return any(questions.changes for questions in self._asked)

    @property
    def beyond(self) -> float:
        """Largest distance of a purified pixel from [0, 1]."""
        return max(questions.beyond for questions in self._asked)

    @property
    def sizes(self) -> frozenset[int]:
        """Those of the batches that were shown."""
        return frozenset[int]().union(*(questions.sizes for questions in self._asked))


def content(shown: Batch) -> tuple[Hashable, ...]:
    """What tells images of one data set from others, under noise or not."""
    size = torch.linalg.vector_norm(shown.x, dtype=torch.float64)
    return (tuple(shown.ids.tolist()), tuple(shown.y.tolist()), float(shown.x.sum(dtype=torch.float64)), float(size))
