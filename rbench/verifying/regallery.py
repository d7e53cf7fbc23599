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
    """What is wrong with the pictures of a cell, one line each; nothing where its run kept none.

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
    images, stored = examples
    if shown is None or not len(shown.samples):
        return
    places = np.searchsorted(stored, shown.samples, sorter=np.argsort(stored)).clip(max=len(stored) - 1)
    places = np.argsort(stored)[places]
    if not np.array_equal(stored[places], shown.samples):
        return  # some survived and were not stored
    setup, clean = prepared.setup, prepared.read(shown.samples)
    adversarial = torch.from_numpy(images[places]).to(clean.device)
    taken = take_gallery(setup.model, clean, adversarial, setup.noise)
    if taken.pixels.shape != shown.pixels.shape or not np.array_equal(taken.labels, shown.labels):
        yield "gallery: not the pictures of these samples"
        return
    kinds = SHOWN if setup.audit.reproducible else SHOWN[:2]
    apart = np.abs(taken.pixels.astype(np.int16) - shown.pixels).mean(axis=(2, 3, 4))
    for place, kind in enumerate(kinds):
        wrong = shown.samples[apart[:, place] > LEVELS]
        if len(wrong):
            yield f"gallery: sample {wrong[0]}: the {kind} picture is not that of the image that was judged"
