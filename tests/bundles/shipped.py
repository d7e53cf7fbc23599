"""A tiny run of a plug-in on weights and images of its author, and what a reviewer on another machine does with its bundle."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
from fake_plugins import Plugins
from small_runs import rbench

from rbench.bundled_files import ASSETS

UNET = '''
from pathlib import Path

import torch


def files(*, weights: Path) -> list[Path]:
    return [weights]


class SmallUnet(torch.nn.Module):
    """Darker images, by how much a file says."""

    stochastic = False

    def __init__(self, *, weights: Path):
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(weights.read_text())))

    def forward(self, x):
        return x * self.scale
'''
SUITE = """\
suite: shipped
dataset: {{name: npz, path: '{author}/photos.npz', samples: 6}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [{{name: 'file:{author}/net.safetensors', architecture: fashion-cnn, as: cnn}}]
purifiers: [identity, {{name: small-unet, weights: '{author}/unet.txt'}}]
attacks: [{{name: pgd, steps: 2}}]
"""


def site_of(root: Path) -> Path:
    """Where the plug-in is installed."""
    return root / "site"


def install(plugins: Plugins) -> None:
    """The plug-in, as pip would."""
    plugins.add(
        "small-unet", {"small_unet": UNET}, {"rbench.purifiers": {"small-unet": "small_unet:SmallUnet"}}, version="0.3"
    )


def author(folder: Path) -> Path:
    """The author's files, all outside of the current folder."""
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28), np.uint8)
    np.savez(folder / "photos.npz", images=images, labels=np.arange(16) % 10)
    shutil.copy(ASSETS / "fashion-cnn.safetensors", folder / "net.safetensors")
    (folder / "unet.txt").write_text("0.9")
    (folder / "suite.yaml").write_text(SUITE.format(author=folder))
    return folder


def rewritten(bundle: Path, to: Path, change) -> Path:
    """The bundle with other members: `change` gets their bytes by name."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def bundled(folder: Path, to: Path, *options: str) -> int:
    """`rbench bundle`; the exit code."""
    return rbench("bundle", folder, "--out", to, *options)
