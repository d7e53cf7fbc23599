"""Samples that attacks before this one have fooled: in a cascade they are not attacked again."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rbench.engine.judge import share_right
from rbench.engine.setup import Setup
from rbench.threat.ball import choose
from rbench.threat.batch import Batch


@dataclass(frozen=True)
class Settled:
    """Images that fool, from other cells of the row.

    Attributes:
        ids: int64 [M] their samples.
        images: float32 [M, C, H, W].
    """

    ids: np.ndarray
    images: np.ndarray


def already_fooled(setup: Setup, clean: Batch, given: Settled | None) -> tuple[Tensor, Tensor]:
    """Which samples need no attack, bool [N], and the images [N, C, H, W] that fool them; the clean ones of all others.

    Each image is judged once more, so whoever answered otherwise before is attacked. Nobody is settled where the same image may get another
    answer: behind a random defence, or where answers depend on the batch. Third-party code is given all samples.

    Args:
        setup: of the cell.
        clean: N samples.
        given: what other cells have fooled, of any samples.

    Raises:
        CellFailed: an image does not lie in the ball, or a logit is not finite.
    """
    nobody, images = torch.zeros(len(clean), dtype=torch.bool, device=clean.device), clean.x.clone()
    alone = setup.audit.reproducible and not setup.random and not setup.audit.batch_dependent
    if given is None or not alone or not setup.attack.driven:
        return nobody, images
    row_of = {int(sample): row for row, sample in enumerate(given.ids)}
    rows = [row for row, sample in enumerate(clean.ids.tolist()) if sample in row_of]
    if not rows:
        return nobody, images
    at = torch.tensor(rows, device=clean.device)
    points = torch.from_numpy(given.images[[row_of[int(clean.ids[row])] for row in rows]]).to(clean.device)
    images[at] = points
    few = clean.at(at)
    setup.judge.admit(points, few, setup.tolerance)
    fooled = nobody.clone()
    fooled[at] = share_right(setup.judge.select(points, few), few.y) == 0
    return fooled, choose(fooled, images, clean.x)
