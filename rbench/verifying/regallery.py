"""Taking the pictures of a cell again: what a reader is shown must be what was judged."""

from collections.abc import Iterator

import numpy as np
import torch

from rbench.errors import InputError
from rbench.results.gallery import SHOWN
from rbench.results.store import RunFolder
from rbench.running.gallery import take_gallery
from rbench.running.prepare import Prepared

LEVELS = 1.0
"""Of 255, on average over a picture: what another machine's rounding may make of it, a quantiser behind it included."""


def gallery_faults(
    prepared: Prepared, cell_id: str, folder: RunFolder, examples: tuple[np.ndarray, np.ndarray]
) -> Iterator[str]:
    """What is wrong with the pictures of a cell, one line each.

    Args:
        prepared: the cell.
        cell_id: its id in the folder.
        folder: where the pictures lie.
        examples: the stored adversarial examples [M, C, H, W] and their ids [M].
    """
    try:
        shown = folder.read_gallery(cell_id)
    except InputError as error:
        yield str(error)
        return
    if shown is None or not len(shown.samples):
        yield f"{folder.gallery_path(cell_id)}: no pictures, and every run keeps those of its first samples"
        return
    images, stored = examples
    setup, first = prepared.setup, prepared.ids[: len(shown.samples)]
    if not np.array_equal(first, shown.samples):
        yield "gallery: not the pictures of the first samples"
        return
    clean = prepared.read(first)
    # Of survivors that were not stored, the clean image stands in; their adversarial pictures cannot be taken again.
    known, adversarial = np.isin(first, stored), clean.x.cpu().numpy().copy()
    order = np.argsort(stored)
    adversarial[known] = images[order[np.searchsorted(stored[order], first[known])]]
    taken = take_gallery(setup.model, clean, torch.from_numpy(adversarial).to(clean.device), setup.noise)
    if taken.pixels.shape != shown.pixels.shape or not np.array_equal(taken.labels, shown.labels):
        yield "gallery: not the pictures of these samples"
        return
    kinds = SHOWN if setup.audit.reproducible else SHOWN[:2]
    apart = np.abs(taken.pixels.astype(np.int16) - shown.pixels).mean(axis=(2, 3, 4))
    for place, kind in enumerate(kinds):
        seen = known | (not kind.endswith("adversarial"))
        wrong = shown.samples[seen & (apart[:, place] > LEVELS)]
        if len(wrong):
            yield f"gallery: sample {wrong[0]}: the {kind} picture is not that of the image that was judged"
