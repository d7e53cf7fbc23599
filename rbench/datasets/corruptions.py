"""Corrupted images made by `imagecorruptions-imaug`: those of ImageNet-C's parameters, each from a seed of its own."""

import contextlib
import hashlib
import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rbench.datasets.types import Ids, Images
from rbench.errors import InputError, MissingError

LEAST = 32
"""Pixels a side that the library needs."""
_OWN_SEED = ("glass-blur", "impulse-noise")
"""Those that take a seed; all others draw from NumPy's global generator."""

Bytes = NDArray[np.uint8]


def corrupted(images: Images, ids: Ids, name: str, severity: int, seed: int) -> Bytes:
    """Images as a corruption leaves them; each depends on itself, its id and the seed, and on no other image.

    An image is rounded to 8 bits, as the library takes it. Of a grey one the library makes three channels, which Pillow turns to grey.
    NumPy's global generator is afterwards as it was before.

    Args:
        images: float32 [B, C, H, W] in [0, 1], of 1 or 3 channels and at least 32 pixels a side.
        ids: int64 [B] of the samples.
        name: as suites write it, e.g. `gaussian-noise`.
        severity: from 1 to 5.
        seed: of the suite.

    Returns:
        uint8 [B, C, H, W].

    Raises:
        InputError: the images are too small, or neither grey nor RGB.
    """
    channels, height, width = images.shape[1:]
    if channels not in (1, 3) or min(height, width) < LEAST:
        found = f"{channels} channels, {height}x{width}"
        remedy = "Take larger images, or give path: the folder of corrupted ones"
        raise InputError(
            f"corruptions are made of grey or RGB images from {LEAST}x{LEAST} up.",
            place="threat",
            found=found,
            remedy=remedy,
        )
    levels: Bytes = np.rint(images * np.float32(255)).astype(np.uint8)
    made = np.empty_like(levels)
    before = np.random.get_state()  # noqa: NPY002 - the library draws from it
    try:
        # It prints where its borders do not fit, and libraries below it warn of their own future.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for place, sample in enumerate(ids.tolist()):
                made[place] = _one(levels[place], name, severity, seed_of(seed, sample, name, severity))
    finally:
        np.random.set_state(before)  # noqa: NPY002
    return made


def ready() -> None:
    """Imports the library, before anything is watched: that takes seconds, and sets variables of the environment that are its own.

    Raises:
        MissingError: it is not there.
    """
    try:
        import imagecorruptions  # noqa: F401
    except ImportError as error:
        remedy = "pip install 'rbench[corruptions]'"
        raise MissingError(f"corruptions cannot be made: {error}", place="threat", remedy=remedy) from error


def seed_of(seed: int, sample: int, name: str, severity: int) -> int:
    """The seed of one image, 0 to 2**32 - 1: the first four bytes of the sha256 of `SEED SAMPLE NAME SEVERITY`, the lowest first."""
    digest = hashlib.sha256(f"{seed} {sample} {name} {severity}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _one(levels: Bytes, name: str, severity: int, seed: int) -> Bytes:
    """One image [C, H, W]."""
    from imagecorruptions import corrupt

    grey = len(levels) == 1
    own: dict[str, Any] = {"seed": seed} if name in _OWN_SEED else {}
    np.random.seed(seed)  # noqa: NPY002
    picture = levels[0] if grey else np.ascontiguousarray(levels.transpose(1, 2, 0))
    made = corrupt(picture, severity=severity, corruption_name=name.replace("-", "_"), **own)
    if grey:
        return np.asarray(Image.fromarray(made).convert("L"))[None]
    return np.asarray(made, np.uint8).transpose(2, 0, 1)
