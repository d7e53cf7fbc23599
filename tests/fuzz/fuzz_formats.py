"""Every format that rbench reads: a few good files of it, and how it is read."""

import gzip
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from made_runs import Made, document, record
from PIL import Image

from rbench.bundles import archive
from rbench.bundles.manifest import Data, Manifest, Placed
from rbench.bundles.opened import opened
from rbench.results.gallery import Gallery
from rbench.results.process import identity
from rbench.results.store import RunFolder

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 4, shuffle: 1}
threat: {norm: Linf, eps: 8/255}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {name: jpeg, quality: 50}]
attacks:
  - {name: pgd, steps: 2, gradient: bpda, as: weak}
  - {name: fgsm, purifiers: [identity], eot: 2}
protocol: {draws: 4, decide: mean, seed: 1}
store: {images: all}
"""
RECIPE = """\
recipe: tiny
train: purifier
dataset: {name: fashion-mnist-mini}
network: {name: autoencoder, channels: 1, side: 4, widths: [2]}
objective: denoising
training: {epochs: 1, batch_size: 4, learning_rate: 1e-3, augment: {flip: true}}
"""
CELL = document(samples=3)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        files: a few good files of it.
        read: reads the file of a path, or answers with an RbenchError.
        name: what the file is called; it may have folders above it.
    """

    files: Callable[[Path], Sequence[bytes]]
    read: Callable[[Path], Any]
    name: str = "file"


def _of_folder(place: str, *, more: Callable[[RunFolder], None] = lambda folder: None) -> Callable[[Path], list[bytes]]:
    """The file at a place of a run folder made by hand."""

    def files(root: Path) -> list[bytes]:
        made = Made(root)
        made.done("pgd", clean=[1, 1, 1], robust=[1, 0, 1], cell_changes={}, noise=[1, 1, 1])
        made.plan()
        more(made.folder)
        return [next(root.glob(place)).read_bytes()]

    return files


def _bundle(root: Path) -> list[bytes]:
    made = Made(root / "run")
    made.done("pgd", clean=[1, 1, 1], robust=[1, 0, 1], cell_changes={}, noise=[1, 1, 1])
    made.plan()
    names = ("cells.jsonl", *(f"{kind}/{CELL['id']}" for kind in ("records", "samples")))
    members = {
        path.relative_to(made.root).as_posix(): path
        for path in sorted(made.root.rglob("*"))
        if path.is_file() and path.relative_to(made.root).as_posix().startswith(names)
    }
    members |= {f"files/{'0' * 12}/w.txt": b"weights", "suite.yaml": SUITE.encode()}
    placed = Placed(text="w.txt", at=f"files/{'0' * 12}", folder=False)
    data = Data(name="fashion-mnist-mini", files={}, kept=False, own=True)
    manifest = Manifest(bundle=1, rbench="0", members=archive.described(members), places=(placed,), data=data)
    archive.write(root / "b.zip", manifest, members)
    return [(root / "b.zip").read_bytes()]


def _opened(path: Path) -> object:
    with opened(path) as run:
        return run.manifest


def _folder(path: Path) -> RunFolder:
    return RunFolder(path.parents[1])


def _stored(folder: RunFolder) -> None:
    images = np.random.default_rng(0).random((3, 1, 4, 4), dtype=np.float32)
    folder.write_images(CELL["id"], images, np.array([5, 2, 9]))
    folder.write_chunk(CELL["id"], 0, 2, {"images": images[:2], "sample": np.arange(2)}, {"seconds": 1.0})
    folder.write_audit(CELL["id"], "slopes", {"a": [1.5, None], "b": {"c": "d"}})
    folder.write_batch_sizes({"cpu a": 4, "cpu b": 64})
    pixels = (255 * np.stack([images[:2]] * 4, 1)).astype(np.uint8)
    folder.write_gallery(CELL["id"], Gallery(np.arange(2), np.arange(2), pixels, np.zeros((2, 2), np.int64)))


def _read_images(path: Path) -> None:
    folder = _folder(path)
    images, ids = folder.read_images(CELL["id"])
    assert len(images) == len(ids)


def _read_chunks(path: Path) -> None:
    """Dropped with a note, or the arrays that were written: a checksum is over all of them."""
    chunks, notes = RunFolder(path.parents[2]).read_chunks(CELL["id"])
    assert len(chunks) + len(notes) == 1
    for chunk in chunks:
        assert (chunk.start, chunk.stop, chunk.meta) == (0, 2, {"seconds": 1.0})
        assert np.asarray(chunk.arrays["images"]).shape == (2, 1, 4, 4)


def _read_samples(path: Path) -> None:
    table = _folder(path).read_samples(record(CELL))
    assert len(table) == 3


def _lock(path: Path) -> None:
    with RunFolder(path.parent).lock():
        pass


def _lock_files(root: Path) -> list[bytes]:
    return [json.dumps({**identity(), "pid": pid, "exclusive": False}).encode() for pid in (2**30, -1)]


def _plan(path: Path) -> None:
    from rbench.suite.load import load_suite
    from rbench.suite.plan import plan

    plan(load_suite(path))


def _recipe(path: Path) -> None:
    from rbench.fit.load import load_recipe

    load_recipe(path).resolved()


# --- weights ------------------------------------------------------------------------------------------------------


def _tensors() -> dict[str, Any]:
    import torch

    return {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.zeros(2), "steps": torch.tensor(3)}


def _safetensors(root: Path) -> list[bytes]:
    from safetensors.torch import save

    return [save(_tensors()), save(_tensors(), metadata={"purifier": json.dumps({"network": "a", "params": {}})})]


def _pt(root: Path) -> list[bytes]:
    import torch

    made = []
    for content, options in ((_tensors(), {}), ({"state_dict": _tensors()}, {"_use_new_zipfile_serialization": False})):
        buffer = BytesIO()
        torch.save(content, buffer, **options)
        made.append(buffer.getvalue())
    return made


def _weights(path: Path) -> None:
    from rbench.backbones.weights import read

    assert read(path)


def _network_files(root: Path) -> list[bytes]:
    from rbench.networks.autoencoder import Autoencoder
    from rbench.networks.file import write_network

    params = {"channels": 1, "side": 4, "widths": [2], "latent": 2}
    root.mkdir(exist_ok=True)
    write_network(
        root / "n.safetensors", Autoencoder(**params), name="autoencoder", params=params, objective="denoising"
    )
    return [(root / "n.safetensors").read_bytes()]


def _network(path: Path) -> None:
    from rbench.networks.file import named_network, read_network

    named_network(path)
    read_network(path, "denoising")


def _checkpoint_files(root: Path) -> list[bytes]:
    from rbench.fit.checkpoint import Checkpoint, write_checkpoint

    root.mkdir(exist_ok=True)
    write_checkpoint(root / "c.pt", Checkpoint("f", 3, _tensors(), {"state": {0: _tensors()}}, {"loss": 0.5}, [], 1.0))
    return [(root / "c.pt").read_bytes()]


def _checkpoint(path: Path) -> None:
    from rbench.fit.checkpoint import read_checkpoint

    assert read_checkpoint(path, "f")


def _card_files(root: Path) -> list[bytes]:
    from rbench.bundled_files import weights_file

    return [weights_file("bundled:fashion-cropd").with_suffix(".json").read_bytes()]


def _card(path: Path) -> None:
    from rbench.fit.card import read_card

    assert read_card(path)


def _points_files(root: Path) -> list[bytes]:
    from rbench.theory.points import Point

    figures = dict.fromkeys(("clean_ce", "adversarial_ce", "clean_contrastive", "attacked_contrastive"), 0.5)
    shares = {"standard_accuracy": 0.9, "robust_accuracy": 1}
    point = Point("k", "data", "cnn", "cnn", "ae", "8/255", 0.03, None, n=4, **figures, **shares)
    return [f"{json.dumps(asdict(point))}\n{json.dumps(asdict(replace(point, key='l', lam=2.5)))}\n".encode()]


def _points(path: Path) -> None:
    from rbench.theory.run import _known

    for point in _known(path).values():
        point.row()


# --- data ---------------------------------------------------------------------------------------------------------


def _pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)


def picture(kind: str) -> Callable[[Path], list[bytes]]:
    """Small pictures of a kind."""

    def files(root: Path) -> list[bytes]:
        made = []
        for one in (Image.fromarray(_pixels()[0]), Image.fromarray(_pixels()[1, :, :, 0])):
            buffer = BytesIO()
            one.save(buffer, kind)
            made.append(buffer.getvalue())
        return made

    return files


def _picture(path: Path) -> None:
    from rbench.datasets.pictures import Geometry, open_picture

    with open_picture(path, str(path)) as opened:
        pixels = Geometry().pixels(opened, str(path))
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() <= pixels.max() <= 1


def _dataset(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from rbench.registry import registry

        data = registry("dataset").get(name).load()(path)
        _read_two(data)

    return read


def _npz(root: Path) -> list[bytes]:
    made = []
    for save, kind in ((np.savez, np.uint8), (np.savez_compressed, np.float32)):
        buffer = BytesIO()
        save(buffer, x=(_pixels() / (255 if kind is np.float32 else 1)).astype(kind), y=np.arange(2))
        made.append(buffer.getvalue())
    return made


def _npy_in_npz(root: Path) -> list[bytes]:
    buffer = BytesIO()
    np.save(buffer, _pixels())
    return [buffer.getvalue()]


def _read_npy(path: Path) -> None:
    """The bytes are an array inside an archive that is whole."""
    labels, archive = BytesIO(), path.with_suffix(".npz")
    np.save(labels, np.arange(2))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", path.read_bytes())
        file.writestr("y.npy", labels.getvalue())
    _dataset("npz")(archive)


def _idx(root: Path) -> list[bytes]:
    return [bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (2, 6, 6)) + _pixels()[..., 0].tobytes()]


def _read_idx(path: Path) -> None:
    (path.parent / "t10k-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 2, 1, 0)))
    _dataset("idx")(path.parent)


def _parquet(root: Path) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made, pictures = [], picture("PNG")(root)[:1] * 2
    for images in ([{"bytes": one, "path": "a"} for one in pictures], pictures):
        buffer = BytesIO()
        pq.write_table(pa.table({"image": images, "label": [0, 1]}), buffer)
        made.append(buffer.getvalue())
    return made


def _mapped_npy(root: Path) -> list[bytes]:
    made = []
    for images in (_pixels(), np.asfortranarray(_pixels()), (_pixels() / 255).astype(np.float32)):
        buffer = BytesIO()
        np.save(buffer, images)
        made.append(buffer.getvalue())
    return made


def _read_mapped_npy(path: Path) -> None:
    from rbench.datasets.npy import npy

    np.save(path.with_name("labels.npy"), np.arange(2))
    _read_two(npy(path))


def _tar(root: Path) -> list[bytes]:
    made, one = [], picture("PNG")(root)[0]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer, folder = BytesIO(), "" if form == tarfile.USTAR_FORMAT else f"{'long' * 40}/"
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for name, content in (
                ("0.png", one),
                ("0.cls", b"0"),
                ("1.png", one),
                ("1.json", b'{"label": 1}'),
                ("1.cls", b"1"),
            ):
                info = tarfile.TarInfo(folder + name)
                info.size = len(content)
                archive.addfile(info, BytesIO(content))
        made.append(buffer.getvalue())
    return made


def _read_tar(path: Path) -> None:
    from rbench.datasets.webdataset import webdataset

    _read_two(webdataset(path))


def _arrow(root: Path) -> list[bytes]:
    import pyarrow as pa

    made, pictures = [], picture("PNG")(root)[:1] * 2
    table = pa.table({"image": [{"bytes": one, "path": "a"} for one in pictures], "label": [0, 1]})
    for new in (pa.ipc.new_stream, pa.ipc.new_file):
        buffer = BytesIO()
        with new(buffer, table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
        made.append(buffer.getvalue())
    return made


def _read_arrow(path: Path) -> None:
    from rbench.datasets.hf import hf

    _read_two(hf(path.parent))


def _read_two(data: Any) -> None:
    images = data.read(data.ids[:2])
    assert images.dtype == np.float32
    assert 0 <= images.min() <= images.max() <= 1


def _report(path: Path) -> None:
    """Reading commands go through all files of a folder: one that is broken is listed, and never an error."""
    from rbench.results.runs import read_runs
    from rbench.results.table import table

    table(read_runs([path.parents[1]]))


def _record(path: Path) -> None:
    from rbench.results.record import read_record

    read_record(path)


def _verified(path: Path) -> None:
    from rbench.results.verification import read_verification

    read_verification(path)


def _cells(path: Path) -> None:
    RunFolder(path.parent).read_cells()


def _sizes(path: Path) -> None:
    sizes = RunFolder(path.parent).read_batch_sizes()
    assert all(type(size) is int and size > 0 for size in sizes.values())


def _audit(path: Path) -> None:
    RunFolder(path.parents[2]).read_audit(CELL["id"], "slopes")


def _gallery(path: Path) -> None:
    _folder(path).read_gallery(CELL["id"])


ID = CELL["id"]
FORMATS = {
    "suite": Format(lambda root: [SUITE.encode()], _plan, "tiny.yaml"),
    "recipe": Format(lambda root: [RECIPE.encode()], _recipe, "tiny.yaml"),
    "record": Format(_of_folder("records/*"), _record, f"records/{ID}.json"),
    "record in a folder": Format(_of_folder("records/*"), _report, f"records/{ID}.json"),
    "verification": Format(_of_folder("verified/*"), _verified, f"verified/{ID}.json"),
    "samples": Format(_of_folder("samples/*"), _read_samples, f"samples/{ID}.parquet"),
    "cells": Format(_of_folder("cells.jsonl"), _cells, "cells.jsonl"),
    "chunk": Format(_of_folder("chunks/*/*", more=_stored), _read_chunks, f"chunks/{ID}/0-2.safetensors"),
    "audit": Format(_of_folder("audits/*/*", more=_stored), _audit, f"audits/{ID}/slopes.json"),
    "batch sizes": Format(_of_folder("batch_sizes.json", more=_stored), _sizes, "batch_sizes.json"),
    "lock": Format(_lock_files, _lock, "run.lock"),
    "images": Format(_of_folder("images/*", more=_stored), _read_images, f"images/{ID}.safetensors"),
    "gallery": Format(_of_folder("gallery/*", more=_stored), _gallery, f"gallery/{ID}.safetensors"),
    "bundle": Format(_bundle, _opened, "bundle.zip"),
    "weights.safetensors": Format(_safetensors, _weights, "w.safetensors"),
    "weights.pt": Format(_pt, _weights, "w.pt"),
    "checkpoint": Format(_checkpoint_files, _checkpoint, "c.pt"),
    "card": Format(_card_files, _card, "c.json"),
    "points": Format(_points_files, _points, "points.jsonl"),
    "network": Format(_network_files, _network, "n.safetensors"),
    "npz": Format(_npz, _dataset("npz"), "data.npz"),
    "npy": Format(_npy_in_npz, _read_npy, "x.npy"),
    "idx": Format(_idx, _read_idx, "t10k-images-idx3-ubyte"),
    "idx.gz": Format(lambda root: [gzip.compress(_idx(root)[0], mtime=0)], _read_idx, "t10k-images-idx3-ubyte.gz"),
    "parquet": Format(_parquet, _dataset("parquet"), "data.parquet"),
    "npy of images": Format(_mapped_npy, _read_mapped_npy, "images.npy"),
    "tar": Format(_tar, _read_tar, "data.tar"),
    "arrow": Format(_arrow, _read_arrow, "data-test.arrow"),
    **{kind: Format(picture(kind), _picture, "a.png") for kind in ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF", "GIF")},
}
"""By name."""
NEVER_REFUSED = ("record in a folder", "chunk", "batch sizes")
"""Formats of which a broken file is as good as none."""
