"""A WEBP whose header declares more pixels than its bytes can hold is refused before Pillow makes room for them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from rbench.datasets import pictures
from rbench.datasets.webp import declared_size
from rbench.errors import InputError

WIDTH, HEIGHT = 23, 9
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
KINDS = {
    "VP8 ": {},
    "VP8L": {"lossless": True},
    "VP8X": {"icc_profile": b"x" * 128},
}


def encoded(kind, **more):
    buffer = BytesIO()
    Image.fromarray(PIXELS).save(buffer, "WEBP", **KINDS[kind], **more)
    content = buffer.getvalue()
    assert content[12:16] == kind.encode()
    return content


def declaring(content, width, height):
    """The same with another size in its header."""
    content, kind = bytearray(content), content[12:16]
    if kind == b"VP8X":
        content[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        content[21:25] = (width - 1 | height - 1 << 14).to_bytes(4, "little")
    else:
        content[26:30] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return bytes(content)


@pytest.mark.parametrize("kind", KINDS)
def test_the_declared_size_is_that_which_pillow_sees(kind):
    content = encoded(kind)
    assert declared_size(content) == Image.open(BytesIO(content)).size == (WIDTH, HEIGHT)
    assert declared_size(declaring(content, 9000, 8000)) == (9000, 8000)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_pixels_are_refused_before_pillow_is_asked(kind, monkeypatch):
    content = encoded(kind)
    with pictures.open_picture(content, "a.webp") as opened:
        assert opened.size == (WIDTH, HEIGHT)
    monkeypatch.setattr(pictures.Image, "open", lambda *a, **k: pytest.fail("Pillow was asked"))
    with (
        pytest.raises(InputError, match="9000x8000") as refused,
        pictures.open_picture(declaring(content, 9000, 8000), "a.webp"),
    ):
        pass
    assert refused.value.place == "a.webp"


def test_what_is_no_webp_or_cut_has_none():
    content = encoded("VP8 ")
    assert declared_size(content[:29]) is None
    assert declared_size(content.replace(b"WEBP", b"WAVE")) is None
    assert declared_size(content.replace(b"VP8 ", b"VP9 ")) is None
