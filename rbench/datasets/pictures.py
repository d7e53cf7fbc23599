"""From encoded pictures (PNG, JPEG, ...) to float32 pixels, the same way for every dataset of pictures."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from PIL import Image

from rbench.datasets.types import Images
from rbench.errors import InputError

Side = Annotated[int, Interval(ge=1, le=8192)]
Channels = Literal["auto", 1, 3]

GREY = ("1", "L", "LA")
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Geometry:
    """How pictures are brought to one shape: resize the shorter side, then cut out the centre square.

    The arithmetic of both is torchvision's, so a picture gets the pixels that published pipelines give it.

    Attributes:
        size: length of the shorter side after an antialiased bilinear resize; None leaves it.
        crop: side of the centre square; None leaves it.
        channels: 1 (grey), 3 (RGB) or "auto".
    """

    size: int | None = None
    crop: int | None = None
    channels: Channels = "auto"

    def pixels(self, picture: Image.Image, where: str) -> Images:
        """float32 [C, H, W] in [0, 1]; an alpha channel is left out."""
        if picture.mode in DEEP:
            raise InputError(f"{where}: {picture.mode} pixels are deeper than 8 bits; store 8-bit grey or RGB pictures")
        mode = "RGB" if self.channels == 3 or (self.channels == "auto" and picture.mode not in GREY) else "L"
        picture = self._crop(self._resize(picture.convert(mode)), where)
        values = np.asarray(picture, np.float32) / np.float32(255)
        return values[None] if mode == "L" else np.ascontiguousarray(values.transpose(2, 0, 1))

    def _resize(self, picture: Image.Image) -> Image.Image:
        if self.size is None or min(picture.size) == self.size:
            return picture
        width, height = picture.size
        shorter = min(width, height)
        return picture.resize(
            (int(self.size * width / shorter), int(self.size * height / shorter)), Image.Resampling.BILINEAR
        )

    def _crop(self, picture: Image.Image, where: str) -> Image.Image:
        if self.crop is None:
            return picture
        width, height = picture.size
        if min(width, height) < self.crop:
            raise InputError(
                f"{where}: {width}x{height} is smaller than crop {self.crop}; give a size of at least {self.crop}"
            )
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return picture.crop((left, top, left + self.crop, top + self.crop))


def stack(rows: list[Images], ids: list[int], source: str) -> Images:
    """The rows as one array, if they have one shape."""
    for sample, row in zip(ids, rows, strict=True):
        if row.shape != rows[0].shape:
            raise InputError(
                f"{source}: images: sample {sample} has shape {row.shape}, sample {ids[0]} {rows[0].shape}; "
                "give size and crop (and channels: 3 if grey and colour are mixed)"
            )
    return np.stack(rows)
