"""Files that are made to execute code, to fill the memory or to take for ever, of every format that rbench reads.

`python tests/malicious.py FOLDER` writes them, each into a folder of its own. Nothing in them acts by itself, and what their code would
do is to write a marker file.
"""

import gzip
import io
import json
import os
import pickle
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from made_runs import Made
from PIL import Image

MARKER = "executed"
MANY = 2**31


@dataclass(frozen=True)
class Malicious:
    """One file.

    Attributes:
        name: what it tries.
        kind: how it is opened: `suite`, `weights`, `npz`, `parquet`, `idx`, `image-folder` or `run`, a folder of results.
        path: the file or folder.
    """

    name: str
    kind: str
    path: Path


class Runs:
    """Writes the marker when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.folder / MARKER}",))


Maker = tuple[str, Callable[[Path], Path]]

SUITE = """\
suite: bad
dataset: {name: fashion-mnist-mini, samples: 2}
threat: {norm: Linf, eps: 8/255}
backbones: [bundled:fashion-cnn]
attacks: [fgsm]
"""


def suites(root: Path) -> dict[str, Maker]:
    """YAML that builds objects, explodes, or names what is none of its business."""
    touch = f"touch {root / MARKER}"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)
    )
    texts = {
        "python-object-apply": SUITE + f'store: !!python/object/apply:os.system ["{touch}"]\n',
        "python-object-new": SUITE + f'store: !!python/object/new:os.system ["{touch}"]\n',
        "python-name": SUITE.replace("fgsm", "!!python/name:os.system"),
        "python-module": SUITE.replace("suite: bad", "suite: !!python/module:antigravity"),
        "alias-bomb": bomb + SUITE,
        "self-alias": "store: &a [*a]\n" + SUITE,
        "nested-lists": SUITE + "store: " + "[" * 10_000 + "]" * 10_000 + "\n",
        "nested-maps": "{a: " * 10_000,
        "a-number-of-a-million-digits": SUITE.replace("samples: 2", "samples: " + "9" * 900_000),
        "eps-with-a-million-digits": SUITE.replace("8/255", "1/" + "9" * 900_000),
        "imports-by-name": SUITE.replace("fgsm", "'os:system'"),
        "imports-by-torchattacks": SUITE.replace("fgsm", "'torchattacks:__import__'"),
        "formats-itself": SUITE.replace("suite: bad", "suite: '{0.__class__}'"),
        "control-characters": SUITE.replace("[fgsm]", '[{name: fgsm, as: "\\e]0;owned\\a\\e[2J"}]'),
        "leaves-the-folder": SUITE.replace("suite: bad", "suite: ../../../tmp/bad"),
        "reads-a-device": SUITE.replace("bundled:fashion-cnn", "{name: 'file:/dev/zero', architecture: fashion-cnn}"),
        "a-hundred-thousand-backbones": SUITE.replace("[bundled", "[" + "bundled:fashion-cnn, " * 60_000 + "bundled"),
    }

    def written(text: str) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            (place / "suite.yaml").write_text(text)
            return place / "suite.yaml"

        return write

    def huge(place: Path) -> Path:
        with (place / "suite.yaml").open("wb") as file:
            file.truncate(2**30)
        return place / "suite.yaml"

    return {name: ("suite", written(text)) for name, text in texts.items()} | {"a-gigabyte": ("suite", huge)}


def _zip_of(pickled: bytes, storages: dict[str, bytes] | None = None, times: int = 1) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two entries of one name
        for _ in range(times):
            archive.writestr("w/data.pkl", pickled)
        archive.writestr("w/version", "3\n")
        for name, content in (storages or {}).items():
            archive.writestr(f"w/data/{name}", content)
    return made.getvalue()


def _saved(content: Any, **options: Any) -> bytes:
    made = io.BytesIO()
    torch.save(content, made, **options)
    return made.getvalue()


def _header(entries: Any, data: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights(root: Path) -> dict[str, Maker]:
    """Pickles with code, maps and tensors that explode, headers that lie."""
    runs, old = Runs(root), {"_use_new_zipfile_serialization": False}
    state = {"head.1.bias": torch.zeros(64)}
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    contents: dict[str, Callable[[], bytes]] = {
        "code.pt": lambda: _saved({"weight": runs}),
        "code-legacy.pt": lambda: _saved({"weight": runs}, **old),
        "code-protocol-4.pt": lambda: _saved({"weight": runs}, pickle_protocol=4),
        "code-beside-weights.ckpt": lambda: _saved({"state_dict": state, "callbacks": [runs]}),
        "code-as-a-key.pt": lambda: _saved({"state_dict": state, "x": {1: runs}}),
        "bare-pickle.pkl": lambda: pickle.dumps(runs),
        "bare-pickle.bin": lambda: pickle.dumps(runs, protocol=2),
        "builtins-eval.pt": lambda: _zip_of(b"\x80\x02cbuiltins\neval\nX\x04\x00\x00\x001+11\x85R."),
        "pickle-of-ten-million-steps.pt": lambda: _zip_of(b"\x80\x02" + b"N0" * 1_900_000 + b"}."),
        "pickle-of-8-mib.pt": lambda: _zip_of(b"\x80\x02" + b"N0" * 2**22 + b"}."),
        "a-storage-of-a-terabyte.pt": lambda: _terabyte(_saved(state)),
        "a-storage-of-a-terabyte-legacy.pt": lambda: _terabyte(_saved(state, **old)),
        "expanded.pt": lambda: _saved({"head.1.bias": torch.zeros(1).expand(2**45)}),
        "many-views-of-one.pt": lambda: _saved({f"a.{i}": SHARED[:] for i in range(2000)}),
        "one-map-in-2^40-places.pt": lambda: _saved(_shared(40)),
        "a-map-in-itself.pt": lambda: _saved(_within()),
        "two-pickles-in-one-zip.pt": lambda: _zip_of(pickle.dumps({}, 2), times=2),
        "zip-bomb.pt": lambda: _bomb(),
        "zip-of-many-names.pt": lambda: _names(),
        "header-of-100-mb.safetensors": lambda: struct.pack("<Q", 100 * 2**20) + b"{" + b" " * 1000,
        "header-of-2^63.safetensors": lambda: struct.pack("<Q", 2**63) + b"{}",
        "1e5-entries.safetensors": lambda: _header({f"{i:06}": entry for i in range(100_000)}, bytes(4)),
        "deep-header.safetensors": lambda: _header(b"[" * 2_000_000),
        "shape-overflow.safetensors": lambda: _header({"a": {**entry, "shape": [2**40, 2**40]}}, bytes(4)),
        "overlap.safetensors": lambda: _header({f"{i}": entry for i in range(1000)}, bytes(4)),
        "a-page.safetensors": lambda: b"<html><script>alert(1)</script></html>",
    }

    def written(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            (place / name).write_bytes(content())
            return place / name

        return write

    def holes(place: Path) -> Path:
        with (place / "w.safetensors").open("wb") as file:
            size = 12 * 2**30
            file.write(_header({"head.1.bias": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}))
            file.truncate(file.tell() + size)
        return place / "w.safetensors"

    def pipe(place: Path) -> Path:
        os.mkfifo(place / "w.pt")
        return place / "w.pt"

    def classes(place: Path) -> Path:
        content = _saved(
            {"head.3.bias": torch.zeros(1).expand(MANY), "head.3.weight": torch.zeros(1, 1).expand(MANY, 64)}
        )
        (place / "w.pt").write_bytes(content)
        return place / "w.pt"

    more = {"holes": holes, "a-pipe": pipe, "two-thousand-million-classes": classes}
    return {
        name.replace("^", "-"): ("weights", written(name.replace("^", "-"), data)) for name, data in contents.items()
    } | {name: ("weights", write) for name, write in more.items()}


SHARED = torch.zeros(2**18)


def _shared(depth: int) -> dict[str, Any]:
    """Two names for one map, which has two names for one map, ..."""
    shared: dict[str, Any] = {"a": torch.zeros(1)}
    for _ in range(depth):
        shared = {"x": shared, "y": shared}
    return shared


def _within() -> dict[str, Any]:
    within: dict[str, Any] = {"a": torch.zeros(1)}
    within["self"] = within
    return within


def _bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("w/data.pkl", bytes(2**26))
    return made.getvalue()


def _names() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}))
        for number in range(5000):
            archive.writestr(zipfile.ZipInfo(f"w/{number:0>2000}"), b"")
    return made.getvalue()


def _terabyte(content: bytes) -> bytes:
    """The same tensor in a storage that is said to have 2^40 numbers."""
    if not content.startswith(b"PK"):
        return _said(content, b"K@N")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        return _zip_of(_said(archive.read(pickled), b"K@t"), {"0": bytes(256)})


def _said(pickled: bytes, numbers: bytes) -> bytes:
    assert numbers in pickled
    return pickled.replace(numbers, b"\x8a\x06" + (2**40).to_bytes(6, "little") + numbers[-1:])


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(height * (width + 1), 2**24)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _npy(header: dict[str, Any], content: bytes) -> bytes:
    made = io.BytesIO()
    np.lib.format.write_array_header_2_0(made, header)
    return made.getvalue() + content


def data(root: Path) -> dict[str, Maker]:
    """Arrays with objects, pictures that are programs, sizes that lie."""
    small = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(small, "PNG")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n(" + str(root / MARKER).encode() + b") (w) file\n"
    labels = _npy({"descr": "<i8", "fortran_order": False, "shape": (2,)}, bytes(16))

    def npz(x: Callable[[], bytes], y: bytes = labels, compressed: bool = False) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            with zipfile.ZipFile(
                place / "d.npz", "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            ) as archive:
                archive.writestr("x.npy", x())
                archive.writestr("y.npy", y)
            return place / "d.npz"

        return write

    def parquet(*pictures: bytes, **options: Any) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            rows = [
                {"image": {"bytes": picture, "path": "a.png"}, "label": i % 2} for i, picture in enumerate(pictures)
            ]
            pq.write_table(pa.Table.from_pylist(rows), place / "d.parquet", **options)
            return place / "d.parquet"

        return write

    def folder(name: str, content: bytes) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            for label in "ab":
                (place / label).mkdir()
                (place / label / "0.png").write_bytes(small.getvalue())
            (place / "b" / name).write_bytes(content)
            return place

        return write

    def idx(shape: tuple[int, ...], size: int) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            images = struct.pack(">HBB" + "I" * len(shape), 0, 8, len(shape), *shape) + bytes(size)
            (place / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, 1))
            (place / "t10k-labels-idx1-ubyte.gz").write_bytes(
                gzip.compress(struct.pack(">HBBI", 0, 8, 1, 2) + bytes(2))
            )
            return place

        return write

    def objects(place: Path) -> Path:
        np.savez(place / "d.npz", x=np.array([Runs(root)], object), y=np.zeros(1, np.int64), allow_pickle=True)
        return place / "d.npz"

    huge = {"descr": "<f4", "fortran_order": False, "shape": (2**20, 3, 2**10, 2**10)}
    plain = {"descr": "<f4", "fortran_order": False, "shape": (1, 1, 2**12, 2**12)}
    return {
        "npz-with-a-pickle": ("npz", objects),
        "npz-of-12-terabytes": ("npz", npz(lambda: _npy(huge, bytes(64)))),
        "npz-that-unpacks": ("npz", npz(lambda: _npy(plain, bytes(2**26)), compressed=True)),
        "npz-with-code-in-its-header": (
            "npz",
            npz(lambda: b"\x93NUMPY\x02\0" + struct.pack("<I", 40) + b"__import__('os').system('touch x')      "),
        ),
        "png-of-4-gigapixels": ("image-folder", folder("0.png", _png(65_000, 65_000))),
        "png-of-2-31-pixels-a-side": ("image-folder", folder("0.png", _png(2**31 - 1, 1))),
        "postscript-as-png": ("image-folder", folder("0.png", script)),
        "postscript-in-parquet": ("parquet", parquet(script, small.getvalue())),
        "svg-as-png": ("image-folder", folder("0.png", b'<svg onload="alert(1)"/>')),
        "parquet-that-unpacks": ("parquet", parquet(*[bytes(2**22)] * 16, compression="zstd")),
        "idx-of-a-terabyte": ("idx", idx((2**31, 28, 28), 64)),
        "idx-that-unpacks": ("idx", idx((2, 2**12, 2**13), 2**26)),
    }


def runs(root: Path) -> dict[str, Maker]:
    """Records of a stranger: names that act on a page, a table or a terminal, and JSON that explodes."""
    names = {
        "script-in-a-name": "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "template-in-a-name": "{{ 7 * 7 }}{% for x in ().__class__.__bases__ %}{% endfor %}",
        "formula-in-a-name": '=HYPERLINK("http://127.0.0.1/"&A1)',
        "terminal-in-a-name": "\x1b]0;owned\x07\x1b[2J\x9b31m",
        "latex-in-a-name": "\\input{/etc/passwd}\\write18{touch x}",
        "module-in-a-name": "os:system",
        "a-name-of-3000-characters": "n" * 3000,
    }

    def named(text: str) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            made = Made(place / "run")
            made.done(clean=[1, 1, 0, 1], robust=[1, 0, 0, 1])
            made.plan()
            for path in [*made.root.glob("records/*.json"), made.root / "cells.jsonl"]:
                content = path.read_text()
                path.write_text(content.replace('"jpeg"', json.dumps(text)))
            return made.root

        return write

    texts = {
        "json-a-million-deep": "[" * 1_000_000,
        "json-maps-a-million-deep": '{"a":' * 1_000_000,
        "json-with-a-key-twice": '{"id": 1, "id": 2}',
        "json-with-nan": '{"id": NaN}',
        "json-number-of-a-million-digits": '{"id": ' + "9" * 1_000_000 + "}",
    }

    def record(text: str | None) -> Callable[[Path], Path]:
        def write(place: Path) -> Path:
            made = Made(place / "run")
            made.done(clean=[1, 1, 0, 1], robust=[1, 0, 0, 1])
            made.plan()
            (path,) = made.root.glob("records/*.json")
            if text is None:
                with path.open("wb") as file:
                    file.truncate(2**30)
            else:
                path.write_text(text)
            return made.root

        return write

    found = {name: ("run", named(text)) for name, text in names.items()}
    found |= {name: ("run", record(text)) for name, text in texts.items()}
    return found | {"a-record-of-a-gigabyte": ("run", record(None))}


def makers(folder: Path) -> dict[str, Maker]:
    """How each file is opened and what writes it, by name.

    Args:
        folder: where code in them would leave its marker.
    """
    return {**suites(folder), **weights(folder), **data(folder), **runs(folder)}


def made(folder: Path, name: str) -> Malicious:
    """Writes one of them into a folder of its own."""
    kind, write = makers(folder)[name]
    place = folder / name
    place.mkdir(parents=True)
    return Malicious(name, kind, write(place))


if __name__ == "__main__":
    for name in makers(Path(sys.argv[1])):
        print(made(Path(sys.argv[1]), name))
