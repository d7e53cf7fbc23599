"""Checkpoints of a linear classifier of 2x2 images, as others write them."""

import pytest
import torch
from safetensors.torch import save_file

SUFFIXES = [".pt", ".safetensors"]

TINY = '''
import torch

class Tiny(torch.nn.Sequential):
    """A linear classifier of 2x2 images."""
    def __init__(self, *, classes: int = 3):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(4, classes))
'''
torch.manual_seed(3)
STATE = {"1.weight": torch.randn(3, 4), "1.bias": torch.randn(3)}
OTHER = {name: tensor + 1 for name, tensor in STATE.items()}


@pytest.fixture
def linear(plugins, tmp_path, monkeypatch):
    plugins.add("tiny", {"tiny_net": TINY}, {"rbench.networks": {"tiny": "tiny_net:Tiny"}})
    monkeypatch.chdir(tmp_path)


def saved(path, state, **options):
    """In safetensors maps become prefixes, and what is no tensor is left out."""
    if path.suffix != ".safetensors":
        torch.save(state, path, **options)
        return path
    flat = dict[str, torch.Tensor]()

    def put(inner, before):
        for name, value in inner.items():
            if isinstance(value, dict):
                put(value, f"{before}{name}.")
            elif isinstance(value, torch.Tensor):
                flat[before + name] = value.clone()

    put(state, "")
    save_file(flat, path)
    return path


def behind(prefix, state=STATE):
    return {prefix + name: tensor for name, tensor in state.items()}
