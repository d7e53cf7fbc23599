"""From encoded pictures (PNG, JPEG, ...) to float32 pixels, the same way for every dataset of pictures."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from PIL import Image, UnidentifiedImageError, features

from rbench.datasets.decoded import GREY, refuse_deep, refuse_several, tile_size, upright
from rbench.datasets.files import reading
from rbench.datasets.sizes import MOST_PICTURE, MOST_PIXELS, refuse_picture, too_large
from rbench.datasets.types import WARNED, Images
from rbench.datasets.webp import declared_size
from rbench.errors import InputError

Side = Annotated[int, Interval(ge=1, le=8192)]
Channels = Literal["auto", 1, 3]


def _formats() -> Iterator[str]:
    yield from ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF", "GIF")
    for name, codec in (("JPEG2000", "jpg_2000"), ("AVIF", "avif")):
        if codec in (*features.codecs, *features.modules) and features.check(codec):
            yield name


FORMATS = tuple(_formats())
"""Formats of pictures, the last two where Pillow was built with them. Pillow opens forty more by their first bytes, whatever the file is
called, and gives PostScript to Ghostscript, which executes it."""
_KINDS = (
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "PDF"),
    (b"<", "HTML or XML"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x89PNG", "a damaged PNG"),
    (b"\xff\xd8\xff", "a damaged JPEG"),
)


@contextmanager
def open_picture(source: Path | bytes, where: str) -> Iterator[Image.Image]:
    """A picture that is open inside the block; an error in decoding it there becomes one line. Nothing is decoded to open it.

    Args:
        source: the file, or its bytes.
        where: what to call it in messages: the file, or the file and the sample in it.

    Raises:
        InputError: it is of none of the `FORMATS`, damaged, one of several in its file, of more than 8 bits, or larger than its bytes
            can honestly hold.
    """
    with reading(where, "a picture"):
        content = source if isinstance(source, bytes) else _content(source, where)
        if (size := declared_size(content)) is not None:
            refuse_picture(*size, len(content), where)
        try:
            picture = Image.open(BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError as error:
            remedy = f"store it as {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
            raise InputError("not readable as a picture", place=where, found=_kind(content), remedy=remedy) from error
        except Image.DecompressionBombError as error:
            raise too_large(f"more than {MOST_PIXELS:,} pixels in {len(content):,} bytes", where) from error
        with picture:
            refuse_picture(*tile_size(picture), len(content), where)
            refuse_deep(picture, content, where)
            refuse_several(picture, where)
            yield picture


def read_picture(source: Path | bytes, where: str, geometry: "Geometry") -> tuple[Images, tuple[str, ...]]:
    """The pixels of an encoded picture, and what was done to them that a user should know.

    Args:
        source: the file, or its bytes.
        where: what to call it in messages.
        geometry: size, crop and channels.

    Returns:
        float32 [C, H, W] in [0, 1], upright as its EXIF orientation says, and a few words for each change.

    Raises:
        InputError: see `open_picture` and `Geometry.pixels`.
    """
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with open_picture(source, where) as picture:
            turned, changes = upright(picture)
            pixels = geometry.pixels(turned, where)
    said = (f"{WARNED}{str(one.message).split('.')[0][:60]}" for one in warned if _speaks(one))
    return pixels, tuple(dict.fromkeys((*changes, *said)))


def _speaks(warned: warnings.WarningMessage) -> bool:
    return not issubclass(warned.category, Image.DecompressionBombWarning | DeprecationWarning)


def _content(path: Path, where: str) -> bytes:
    size = path.stat().st_size
    if size > MOST_PICTURE:
        found = f"{size:,} bytes"
        raise InputError("larger than any picture", place=where, found=found, remedy="is it one?")
    return path.read_bytes()


def _kind(content: bytes) -> str:
    """The kind of file that bytes are from, if they are no picture, by their first bytes."""
    if not content:
        return "0 bytes"
    if content[4:8] == b"ftyp":
        return "AVIF, HEIC or video"
    starts = (content[:16], content.lstrip()[:16])
    kinds = (kind for magic, kind in _KINDS if any(start.startswith(magic) for start in starts))
    return next(kinds, f"bytes that start with 0x{content[:4].hex()}")


@dataclass(frozen=True)
class Geometry:
    """The steps that bring pictures to one shape: resize the shorter side, then cut out the centre square.

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
        """float32 [C, H, W] in [0, 1]; an alpha channel is left out.

        Raises:
            InputError: pixels have more than 8 bits, or the picture is smaller than the crop.
        """
        refuse_deep(picture, b"", where)
        mode = "RGB" if self.channels == 3 or (self.channels == "auto" and picture.mode not in GREY) else "L"
        if picture.mode in ("P", "PA") and "transparency" in picture.info:
            picture = picture.convert("RGBA")
        picture = self._crop(self._resize(picture.convert(mode)), where)
        values = np.array(picture, np.float32)
        values /= np.float32(255)
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
            found, remedy = f"{width}x{height}", f"give a size of at least {self.crop}"
            raise InputError(f"{found} is smaller than crop {self.crop}", place=where, found=found, remedy=remedy)
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return picture.crop((left, top, left + self.crop, top + self.crop))


def stack(rows: list[Images], ids: list[int], source: str) -> Images:
    """The rows as one array, if they have one shape."""
    for sample, row in zip(ids, rows, strict=True):
        if row.shape != rows[0].shape:
            raise InputError(
                f"shape {row.shape}, sample {ids[0]} {rows[0].shape}",
                place=f"{source}: images: sample {sample}",
                found=f"shape {row.shape}",
                remedy="give size and crop (and channels: 3 if grey and colour are mixed)",
            )
    return np.stack(rows)
