"""Small data sets in files, right and wrong, and a suite that runs them."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from made_pictures import png
from PIL import Image
from small_runs import rbench

from rbench.datasets.parquet import parquet

SUITE = """\
suite: data
dataset: {dataset}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
attacks: [fgsm]
"""


def grey(count=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def suite(folder: Path, dataset: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(dataset=dataset))
    return path


def run(folder: Path, dataset: str, capsys) -> tuple[int, str]:
    """The exit code of a run, and what it says on stderr, without line breaks of the terminal."""
    capsys.readouterr()
    code = rbench("run", suite(folder, dataset), "--out", folder / "run", "--workers", "0")
    return code, capsys.readouterr().err


def stopped(folder: Path, dataset: str, capsys, *parts: str) -> str:
    """The one line of a run that was refused before anything was computed, which has these parts."""
    code, err = run(folder, dataset, capsys)
    assert code == 2, err
    assert "Traceback" not in err
    for part in parts:
        assert part in err, f"{part!r} is not in {err!r}"
    assert not list((folder / "run").glob("records/*"))
    return err


def save(folder: Path, x, y, **more) -> str:
    """An .npz file, as a suite names it."""
    np.savez(folder / "x.npz", images=x, labels=y, **more)
    return "{name: npz, path: x.npz}"


def rgb(height=20, width=30, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(image):
    """What a data set gives of it."""
    return np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)


def one_picture(folder: Path, content: bytes):
    """A data set of one."""
    return parquet(parquet_file(folder / "one.parquet", [content], [0]))


def deep_png(side: int = 8) -> bytes:
    """16 bits for each of red, green and blue, which Pillow cannot write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + bytes(range(6 * side)) for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def parquet_file(path: Path, pictures, labels=None, names=None) -> Path:
    labels = list(range(len(pictures))) if labels is None else labels
    table = pa.table({"image": [{"bytes": picture, "path": "p"} for picture in pictures], "label": labels})
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def folders(root: Path, names, seed=0) -> Path:
    """A class folder of one picture for each name."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(png(grey(1, seed + number)[0]))
    return root
