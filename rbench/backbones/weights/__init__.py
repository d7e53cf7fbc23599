"""Weights files: read without executing anything, checked, and loaded strictly.

A `.pt` file is a pickle, that is a program. It is only ever read with `weights_only=True`, without exception, and only where it asks for
nothing but tensors. safetensors is the format to prefer.
"""

from rbench.backbones.weights.fitted import fill, load, names_of
from rbench.backbones.weights.pickled import SAFE_TORCH, read_pickled, require_safe_torch
from rbench.backbones.weights.read import header, read, read_state

__all__ = [
    "SAFE_TORCH",
    "fill",
    "header",
    "load",
    "names_of",
    "read",
    "read_pickled",
    "read_state",
    "require_safe_torch",
]
