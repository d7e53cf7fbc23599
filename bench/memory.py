"""Peak memory, each figure in a process of its own: of runs that keep more and more images at 224x224, and of the audit of model e."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from bench.rows import MissingPartError, Row, Terms

IMAGES, QUICK_IMAGES = (250, 1000, 5000), (16, 64)
SIDE, PER_MIB = 224, 1024 if sys.platform != "darwin" else 1024**2

NULL = '''
from torch import Tensor, nn


class Null(nn.Module):
    """Sees the mean of every channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 3]."""
        return 10 * x.mean((2, 3))


def null():
    """A classifier without weights."""
    return Null()
'''
SUITE = """\
suite: memory
dataset: {{name: parquet, path: {path}, samples: {images}}}
threat: {{norm: Linf, eps: 0.01}}
backbones: [null-mean]
attacks: [fgsm]
store: {{images: all}}
"""


def rows(terms: Terms) -> Iterator[Row]:
    """A row for each number of images, and the audit."""
    for images in QUICK_IMAGES if terms.quick else IMAGES:
        yield Row(f"memory/run/{images}", partial(of_run, images))
    yield Row("memory/audit", of_audit)


def of_run(images: int) -> dict[str, Any]:
    """Peak MiB of `rbench run --workers 0` on a model without weights that keeps every image."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pictures(folder / "pictures.parquet", images)
        plug_in(folder / "site")
        suite = folder / "memory.yaml"
        suite.write_text(SUITE.format(path=folder / "pictures.parquet", images=images), encoding="utf-8")
        command = ["-m", "rbench", "run", str(suite), "--out", str(folder / "run"), "--workers", "0", "--device", "cpu"]
        start = time.monotonic()
        peak = peak_of(command, [folder / "site"])
        return {
            "images": images,
            "side": SIDE,
            "peak": peak,
            "bare": peak_of(["-c", "import torch"]),
            "wall": time.monotonic() - start,
        }


def of_audit() -> dict[str, Any]:
    """MiB above the model, and processor seconds, of the audit of model e."""
    code = (
        "import json, resource, time, torch\nfrom bench import memory\n"
        "torch.set_num_threads(1)\nprint(json.dumps(memory.audited()))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise MissingPartError(done.stderr.strip().splitlines()[-1])
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def audited() -> dict[str, Any]:
    """For the process that is measured."""
    from bench.attacks import readied
    from bench.models import RADII, model_of
    from rbench.attacks.pgd import pgd

    model = model_of("e", 16)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    readied(model, pgd(steps=10), RADII["e"]["0.65"])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"above the model": (after - before) / PER_MIB, "seconds": time.process_time() - start, "note": model.note}


def peak_of(command: list[str], path: list[Path] | None = None) -> float:
    """Peak MiB of a Python process.

    Raises:
        MissingPartError: it failed.
    """
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)\n"
        "assert not done.returncode, done.stderr\nprint(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    whole = [sys.executable, "-c", code, sys.executable, *command]
    done = subprocess.run(whole, env=environment(path or []), capture_output=True, text=True)
    if done.returncode:
        raise MissingPartError(done.stderr.strip().splitlines()[-1])
    return int(done.stdout) / PER_MIB


def environment(path: list[Path] | None = None) -> dict[str, str]:
    """That of this process with one thread, and folders before its path."""
    root = Path(__file__).parents[1]
    places = [*(path or []), root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, places))}


def pictures(path: Path, images: int) -> None:
    """A parquet file of pictures of three kinds, each redder, greener or bluer than grey."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    coded = []
    for channel in range(3):
        pixels = np.random.default_rng(channel).integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[..., channel] += 60
        content = BytesIO()
        Image.fromarray(pixels).save(content, "JPEG")
        coded.append({"bytes": content.getvalue()})
    labels = [number % 3 for number in range(images)]
    pq.write_table(pa.table({"image": [coded[label] for label in labels], "label": labels}), path, row_group_size=100)


def plug_in(folder: Path) -> None:
    """A package with the backbone `null-mean`."""
    info = folder / "null_mean-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "null_mean.py").write_text(f'"""A classifier without weights."""\n{NULL}', encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: null-mean\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[rbench.backbones]\nnull-mean = null_mean:null\n", encoding="utf-8")
