"""Cut the bundled dataset `fashion-mnist-mini` out of the Fashion-MNIST test set.

    python recipes/fashion_mnist_mini.py --data DIR    # the four idx .gz files, e.g. of the Debian package dataset-fashion-mnist
    python recipes/fashion_mnist_mini.py    # torchvision downloads them

The rule: the first 100 test images of each class, kept in the order of the test set. Nothing is chosen by
looking.
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
from idx import download_fashion_mnist, sha256_of

from rbench.datasets.idx import read_split

A_CLASS = 100
ASSETS = Path(__file__).parents[1] / "rbench" / "assets"


def main() -> None:
    """Parse the command line, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the four idx .gz files (default: download)")
    parser.add_argument("--out", type=Path, default=ASSETS)
    args = parser.parse_args()
    data = args.data or download_fashion_mnist(Path(tempfile.mkdtemp()))
    images, labels = read_split(data, "test")
    kept = np.sort(np.concatenate([np.flatnonzero(labels == k)[:A_CLASS] for k in range(10)]))
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "fashion-mnist-mini.npz"
    np.savez_compressed(path, images=images[kept], labels=labels[kept], test_index=kept.astype(np.uint16))
    card = {
        "name": "fashion-mnist-mini",
        "recipe": "recipes/fashion_mnist_mini.py",
        "command": "python recipes/fashion_mnist_mini.py --data DIR",
        "rule": f"the first {A_CLASS} test images of each class, in the order of the test set",
        "content": "images: uint8 [1000, 28, 28]; labels: uint8 [1000]; test_index: place in the test set",
        "origin": "Fashion-MNIST, https://github.com/zalandoresearch/fashion-mnist, arXiv 1708.07747",
        "licence": "MIT; Copyright (c) 2017 Zalando SE, https://tech.zalando.com; see fashion-mnist-LICENSE",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "data_sha256": sha256_of(data, "test"),
    }
    (args.out / "fashion-mnist-mini.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{len(kept)} images, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
