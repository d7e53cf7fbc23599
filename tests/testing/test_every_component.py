"""Every registered name passes `rbench check`, with the smallest data and weights that there are; nothing is downloaded."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_sources import MADE
from PIL import Image
from safetensors.torch import save_file
from zoo import hub_cache  # noqa: F401 - a fixture

from rbench.backbones.architectures import build
from rbench.bundled_files import bundled_weights
from rbench.errors import MissingError
from rbench.registry import registry
from rbench.testing.conformance import KINDS, check_named

DIFFUSION = {"weights": "bundled:fashion-ddpm", "t": 0.004, "steps": 1, "surrogate_steps": 1}
FEW = {"images": 4}
PARAMS = {
    ("purifier", "autoencoder"): {"weights": "bundled:fashion-autoencoder"},
    ("purifier", "denoising-autoencoder"): {"weights": "bundled:fashion-dae"},
    ("purifier", "smoothing-denoiser"): {"weights": "bundled:fashion-dae"},
    ("purifier", "cropd"): {"weights": "bundled:fashion-cropd"},
    ("purifier", "diffpure"): DIFFUSION,
    ("purifier", "gdmp"): {**DIFFUSION, "rounds": 1},
    ("purifier", "tv-minimisation"): {"steps": 5, "surrogate_steps": 2},
    ("attack", "adaptive"): {"steps": 2, "queries": 10},
    ("attack", "autoattack"): {"version": "custom", "attacks": ["apgd-ce"]},
    ("attack", "square"): {"queries": 20},
    ("attack", "rays"): {"queries": 20},
    ("attack", "transfer"): {"source": "bundled:fashion-cnn", "steps": 2},
}
"""What a name needs to be made, and budgets that are tiny."""
NAMED = {
    ("backbone", "autoattack"): ("autoattack:cifar10-resnet18", {}),
    ("backbone", "bundled"): ("bundled:fashion-cnn-adversarial", {}),
    ("backbone", "efficientnet-lite"): ("efficientnet-lite:lite0", {}),
    ("attack", "torchattacks"): ("torchattacks:PGD", {"steps": 3}),
}
"""An item of each source that needs no file."""
SMALL = {
    "autoattack:cifar10-resnet18": {"images": 2, "shape": "3x32x32"},
    "efficientnet-lite:lite0": {"images": 2, "shape": "3x32x32"},
}


LITTLE = {
    "timm": {"images": 4, "shape": "3x64x64"},
    **{name: {"images": 4, "shape": "3x32x32"} for name in ("transformers", "open-clip", "hub", "robustbench")},
}
"""Images that made models take."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A name and parameters for each component that reads a file, and the file."""
    folder = tmp_path_factory.mktemp("files")
    x = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
    y = np.arange(6, dtype=np.uint8) % 3
    np.savez(folder / "some.npz", x=x[:, None], y=y)
    for place, (label, picture) in enumerate(zip(y, x, strict=True)):
        path = folder / "pictures" / f"class{label}" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    content = [{"bytes": path.read_bytes()} for path in sorted((folder / "pictures").rglob("*.png"))]
    pq.write_table(pa.table({"image": content, "label": [0, 0, 1, 1, 2, 2]}), folder / "some.parquet")
    for name, array, shape in (("images-idx3", x, x.shape), ("labels-idx1", y, y.shape)):
        head = bytes([0, 0, 8, len(shape)]) + b"".join(int(size).to_bytes(4, "big") for size in shape)
        for raw in (folder / "idx", folder / "MNIST" / "raw"):
            raw.mkdir(parents=True, exist_ok=True)
            for split in ("t10k", "train"):  # torchvision wants both
                (raw / f"{split}-{name}-ubyte").write_bytes(head + array.tobytes())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(build("torchvision:squeezenet1_1", 5).state_dict(), folder / "squeezenet.safetensors")
    squeezenet = {"weights": str(folder / "squeezenet.safetensors")}
    return {
        ("dataset", "npz"): (f"npz:{folder / 'some.npz'}", {}),
        ("dataset", "parquet"): (f"parquet:{folder / 'some.parquet'}", {}),
        ("dataset", "image-folder"): (f"image-folder:{folder / 'pictures'}", {}),
        ("dataset", "idx"): (f"idx:{folder / 'idx'}", {}),
        ("dataset", "torchvision"): ("torchvision:MNIST", {"root": str(folder)}),
        ("backbone", "file"): (f"file:{bundled_weights('fashion-cnn')}", {"architecture": "fashion-cnn"}),
        ("backbone", "torchvision"): ("torchvision:squeezenet1_1", squeezenet),
    }


OURS = [
    (kind, name)
    for kind in KINDS
    for name in registry(kind).names()
    if registry(kind).get(name).distribution == "rbench"
]


@pytest.mark.parametrize(("kind", "name"), OURS, ids=lambda value: value)
def test_every_registered_name_conforms(kind, name, files, hub_cache, tmp_path):  # noqa: F811
    made = MADE.get((kind, name))
    items = {**NAMED, **files} if made is None else {(kind, name): made(tmp_path)}
    written, params = items.get((kind, name), (name, PARAMS.get((kind, name), {})))
    try:
        found = check_named(kind, written, params, **SMALL.get(written, LITTLE.get(name, FEW)))
    except MissingError as error:
        pytest.skip(str(error))
    assert not found.failed, found.text()
