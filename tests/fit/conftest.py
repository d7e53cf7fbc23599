import numpy as np
import pytest

from rbench.fit.load import load_recipe

PURIFIER = """
recipe: tiny
train: purifier
dataset: {{name: npz, path: "{data}"}}
network: {{name: autoencoder, side: 8, channels: 1, widths: [4], latent: 6}}
objective: {{name: adversarial-contrastive, eps: 0.1, steps: 2, lam: 5}}
training: {{epochs: 3, batch_size: 8, held_out: 6, augment: {{flip: true, shift: 1}}}}
"""
HEAD = """
recipe: tiny-head
train: head
dataset: {{name: fashion-mnist-mini, samples: 300}}
backbone: bundled:fashion-cnn
purifier: {{name: gaussian-noise, sigma: 0.1}}
training: {{held_out: 50, iterations: 40}}
"""
BACKBONE = """
recipe: tiny-backbone
train: backbone
dataset: {{name: fashion-mnist-mini, samples: 200}}
backbone: bundled:fashion-cnn
attack: {{eps: 0.1, steps: 3}}
training: {{epochs: 2, batch_size: 20, held_out: 20, learning_rate: 0.003}}
"""
TEXTS = {"purifier": PURIFIER, "head": HEAD, "backbone": BACKBONE}


@pytest.fixture
def data(tmp_path):
    draw = np.random.default_rng(0)
    np.savez(
        tmp_path / "tiny.npz", images=draw.integers(0, 256, (40, 8, 8, 1), np.uint8), labels=draw.integers(0, 3, 40)
    )
    return tmp_path / "tiny.npz"


@pytest.fixture
def write(tmp_path, data):
    """A recipe file of a kind."""

    def written(kind="purifier", text=None):
        path = tmp_path / "recipe.yaml"
        path.write_text((TEXTS[kind] if text is None else text).format(data=data))
        return path

    return written


@pytest.fixture
def recipe(write):
    """A recipe of a kind, loaded, with overrides."""

    def loaded(kind="purifier", *overrides):
        return load_recipe(write(kind), overrides)

    return loaded
