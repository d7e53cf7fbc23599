"""An item of each source of backbones and data that reads files of others: made in a folder by the libraries themselves, tiny."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_pictures import pixels, png
from safetensors.torch import save_file
from zoo import COMMIT, repository, saved_clip, saved_timm, saved_vit

from rbench.backbones.architectures import build

Item = tuple[str, dict[str, Any]]
CLASSES = ["cat", "dog", "frog"]


def timm(folder: Path) -> Item:
    """A network with five classes."""
    saved_timm(folder / "timm.safetensors", num_classes=5)
    return "timm:test_resnet", {"checkpoint": str(folder / "timm.safetensors")}


def transformers(folder: Path) -> Item:
    """A vision transformer."""
    saved_vit(folder / "vit")
    return f"transformers:{folder / 'vit'}", {}


def open_clip(folder: Path) -> Item:
    """A CLIP model and the names of three classes."""
    saved_clip(folder / "clip")
    return f"open-clip:{folder / 'clip'}", {"class_names": CLASSES}


def hub(folder: Path) -> Item:
    """The only commit of a repository in the cache."""
    constants = pytest.importorskip("huggingface_hub").constants
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = build("cifar-resnet18", 4).state_dict()
    save_file(state, repository(Path(constants.HF_HUB_CACHE), "someone/net") / "model.safetensors")
    return "hub:someone/net", {"revision": COMMIT, "architecture": "cifar-resnet18"}


def robustbench(folder: Path) -> Item:
    """A network of the zoo with random weights."""
    pytest.importorskip("robustbench")
    from rbench.backbones.robustbench_zoo import names
    from rbench.backbones.robustbench_zoo.networks import build as build_zoo

    place = folder / "models" / "cifar10" / "Linf" / "Wong2020Fast.pt"
    place.parent.mkdir(parents=True)
    torch.save(build_zoo(names.model("Wong2020Fast", "cifar10", "Linf"), "cifar10", "Linf").state_dict(), place)
    return "robustbench:Wong2020Fast", {"model_dir": str(folder / "models")}


def _pictures() -> list[bytes]:
    return list(map(png, pixels(6, shape=(12, 12, 3))))


def npy(folder: Path) -> Item:
    """Two files."""
    np.save(folder / "x.npy", pixels(6, shape=(12, 12, 3)))
    np.save(folder / "y.npy", np.arange(6) % 3)
    return f"npy:{folder / 'x.npy'}", {"labels": str(folder / "y.npy")}


def webdataset(folder: Path) -> Item:
    """One shard."""
    with tarfile.open(folder / "shard-000000.tar", "w") as shard:
        for number, picture in enumerate(_pictures()):
            for suffix, content in (("png", picture), ("cls", str(number % 3).encode())):
                member = tarfile.TarInfo(f"{number:04d}.{suffix}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    return f"webdataset:{folder / 'shard-000000.tar'}", {}


def hf(folder: Path) -> Item:
    """A folder of parquet files."""
    (folder / "hf").mkdir()
    content = [{"bytes": picture, "path": None} for picture in _pictures()]
    pq.write_table(
        pa.table({"image": content, "label": [0, 1, 2, 0, 1, 2]}), folder / "hf" / "test-00000-of-00001.parquet"
    )
    return f"hf:{folder / 'hf'}", {"split": "test"}


def imagenet(folder: Path) -> Item:
    """A validation folder of 1,000 classes, most of them empty."""
    wnids = [f"n{10000000 + number:08d}" for number in range(1000)]
    for name in wnids:
        (folder / "val" / name).mkdir(parents=True)
    for number, picture in enumerate(_pictures()):
        (folder / "val" / wnids[number // 2] / f"ILSVRC2012_val_{number:08d}.png").write_bytes(picture)
    return f"imagenet:{folder / 'val'}", {}


MADE = {
    ("backbone", "timm"): timm,
    ("backbone", "transformers"): transformers,
    ("backbone", "open-clip"): open_clip,
    ("backbone", "hub"): hub,
    ("backbone", "robustbench"): robustbench,
    ("dataset", "npy"): npy,
    ("dataset", "webdataset"): webdataset,
    ("dataset", "hf"): hf,
    ("dataset", "imagenet"): imagenet,
}
