"""The memory that a run of many large pictures takes: peak of the process, beside its bar.

    python bench/memory.py [--samples 5000] [--side 224] [--workers 1]

Pictures are JPEG files made on the fly; the defended model is next to nothing (average pooling and a linear layer), so that what is
measured is rbench's own: reading, attacking, keeping all adversarial images, concluding. Ends with 1 above the bar.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from bars import held
from PIL import Image

BAR = 2.0
"""GiB, for 5,000 pictures of 224 pixels a side."""
CLASSES = 10
KINDS = 20
"""Different pictures; the others are links to them."""

BACKBONE = """
from typing import Literal

def null(name: Literal["model"]):
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 10))
"""
SUITE = """\
suite: memory
dataset: {{name: image-folder, path: {pictures}}}
threat: {{norm: Linf, eps: 8/255}}
backbones: ["null:model"]
attacks: [{{name: pgd, steps: 2}}]
store: {{images: all}}
"""


def main() -> int:
    """Runs the suite in a process of its own; 1 if its peak is above the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--workers", type=int, default=1)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        draw(root / "pictures", wanted.samples, wanted.side)
        write_plugin(root / "plugin")
        suite = root / "suite.yaml"
        suite.write_text(SUITE.format(pictures=root / "pictures"), encoding="utf-8")
        command = ["run", str(suite), "--out", str(root / "run"), "--workers", str(wanted.workers)]
        gigabytes = peak(command, root / "plugin")
        stored = sum(path.stat().st_size for path in (root / "run" / "images").iterdir()) / 2**30
    what = f"peak of {wanted.samples:,} pictures of {wanted.side} x {wanted.side}, {wanted.workers} workers"
    sys.stdout.write(f"adversarial images on the disk: {stored:.2f} GiB\n")
    return int(not held(what, gigabytes, BAR, "GiB"))


def draw(folder: Path, samples: int, side: int) -> None:
    """So many pictures in folders of classes: a few files of noise under many names."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
    kinds = []
    for kind in range(min(KINDS, samples)):
        kinds.append(folder / f"{kind}.jpg")
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(kinds[-1])
    for sample in range(samples):
        os.link(kinds[sample % len(kinds)], folder / str(sample % CLASSES) / f"{sample}.jpg")


def write_plugin(folder: Path) -> None:
    """A package with the backbone, found on the path by its entry point."""
    about = folder / "null_model-0.dist-info"
    about.mkdir(parents=True)
    (folder / "null_model.py").write_text(BACKBONE, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: null-model\nVersion: 0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[rbench.backbones]\nnull = null_model:null\n", encoding="utf-8")


def peak(arguments: list[str], plugin: Path) -> float:
    """GiB that the largest process of a command held at most."""
    path = os.pathsep.join(filter(None, [str(plugin), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    process = subprocess.Popen([sys.executable, "-m", "rbench", *arguments], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"rbench run ended with {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30


if __name__ == "__main__":
    sys.exit(main())
