"""What an open picture is apart from its pixels: upright or turned, one of several, deeper than 8 bits. Pillow tells none of it."""

from PIL import Image, ImageOps

from rbench.errors import InputError

GREY = ("1", "L", "LA", "La")
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _TILE_WIDTH, _TILE_LENGTH = 258, 322, 323


def upright(picture: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture turned as its EXIF orientation says, and what will have been done to it once it is grey or RGB, in a few words each."""
    changes = []
    if picture.getexif().get(_ORIENTATION, 1) in range(2, 9):
        picture, changes = ImageOps.exif_transpose(picture), ["EXIF orientation applied"]
    if picture.format == "MPO":
        changes.append("the first picture of an MPO file taken")
    mode = picture.mode
    if mode in ("P", "PA"):
        changes.append("palette converted to RGB")
    elif mode == "1":
        changes.append("black and white converted to grey")
    elif mode not in (*GREY, "RGB", *_ALPHA):
        changes.append(f"{mode} converted to RGB")
    if mode in _ALPHA or "transparency" in picture.info:
        changes.append("transparency left out")
    return picture, tuple(changes)


def refuse_several(picture: Image.Image, where: str) -> None:
    """Refuses an animation and pages: none of them is the picture.

    An MPO file of a camera or telephone is a JPEG with previews behind it.

    Raises:
        InputError: there is a second one.
    """
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        kind = "pages" if picture.format == "TIFF" else "an animation"
        found = f"{kind} in a {picture.format} file"
        raise InputError("more than one picture", place=where, found=found, remedy="store one picture a file")


def refuse_deep(picture: Image.Image, content: bytes, where: str) -> None:
    """Refuses pictures of more than 8 bits a channel, which Pillow would cut down to 8 without a word.

    Args:
        picture: open, not decoded.
        content: its bytes, or nothing to go by the mode alone.
        where: what to call it in messages.

    Raises:
        InputError: it has more.
    """
    bits = _bits(picture, content)
    if picture.mode in DEEP or bits > 8:
        found = f"mode {picture.mode}" if picture.mode in DEEP else f"{bits} bits a channel"
        remedy = "store 8-bit grey or RGB pictures"
        raise InputError("pixels are deeper than 8 bits", place=where, found=found, remedy=remedy)


def tile_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of what is decoded at once: those of the picture, or of the tiles of a TIFF that are larger than it."""
    width, height = picture.size
    tags = getattr(picture, "tag_v2", None) or {}
    return max(width, _number(tags.get(_TILE_WIDTH))), max(height, _number(tags.get(_TILE_LENGTH)))


def _bits(picture: Image.Image, content: bytes) -> int:
    """The largest number of bits of a channel that the header tells, at least 1."""
    if picture.format == "PNG":
        return content[24] if len(content) > 24 else 1
    if picture.format == "TIFF":
        bits = (getattr(picture, "tag_v2", None) or {}).get(_BITS_PER_SAMPLE, 1)
        return max(map(_number, bits if isinstance(bits, tuple) else (bits,)), default=1)
    if picture.format == "PPM":
        tiles = getattr(picture, "tile", None) or []
        arguments = tiles[0][3] if tiles else ()
        most = arguments[1] if isinstance(arguments, tuple) and len(arguments) == 2 else 1
        return _number(most).bit_length()
    if picture.format == "JPEG2000":
        return _bits_of_jpeg2000(content)
    if picture.format == "AVIF":
        return _bits_of_avif(content)
    return 1


def _bits_of_jpeg2000(content: bytes) -> int:
    """From the SIZ segment of the codestream: one byte of three for each component."""
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return 1
    count = int.from_bytes(content[start + 40 : start + 42], "big")
    return max(((size & 0x7F) + 1 for size in content[start + 42 : start + 42 + 3 * count : 3]), default=1)


def _bits_of_avif(content: bytes) -> int:
    """From the configuration of the AV1 codec: bit 6 of its third byte says more than 8."""
    start = content.find(b"av1C", 0, 2**16)
    return 10 if start >= 0 and len(content) > start + 6 and content[start + 6] & 0x40 else 1


def _number(value: object) -> int:
    return value if isinstance(value, int) else 1
