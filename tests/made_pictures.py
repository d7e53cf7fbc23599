"""Small pictures as bytes, for the tests of data sets."""

import io

import numpy as np
from PIL import Image


def pixels(count, seed=0, shape=(6, 5, 3)):
    """Noise, uint8 [count, H, W, C]."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def floats(images):
    """What a data set gives of them, float32 [count, C, H, W]."""
    return images.transpose(0, 3, 1, 2) / np.float32(255)


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(array) -> bytes:
    return encoded(Image.fromarray(array))
