"""Pictures are what a list of formats says, whatever their names: nothing that a helper program would be started for."""

import ast
import io
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parts import refused, some
from PIL import EpsImagePlugin, Image

import rbench
from rbench.datasets.image_folder import image_folder
from rbench.datasets.parquet import parquet
from rbench.datasets.pictures import FORMATS, open_picture
from rbench.datasets.torchvision import torchvision

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
0 0 8 8 rectfill
showpage
%%EOF
"""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A Ghostscript that leaves a marker, and a list of all programs that are started."""
    marker, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{marker}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # what Pillow remembers of an earlier search
    started = []
    real = subprocess.Popen.__init__

    def noted(self, args, *rest, **options):
        started.append(args)
        real(self, args, *rest, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    yield started
    assert started == []
    assert not marker.exists()


def in_a_folder(tmp_path, content):
    picture = tmp_path / "pets" / "cat" / "0.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(content)
    return image_folder(tmp_path / "pets"), str(picture)


def in_a_parquet_file(tmp_path, content):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [{"bytes": content, "path": "0.png"}], "label": [0]}), path)
    return parquet(path), f"{path}: image: sample 0"


def in_imagenette(tmp_path, content):
    for split in ("val", "train"):
        folder = tmp_path / "imagenette2-320" / split / "n01440764"
        folder.mkdir(parents=True)
        (folder / "0.jpeg").write_bytes(content)
    return torchvision("Imagenette", root=tmp_path), str(tmp_path / "imagenette2-320" / "val" / "n01440764" / "0.jpeg")


READERS = [in_a_folder, in_a_parquet_file, in_imagenette]


def test_the_watch_would_see_ghostscript_at_work(tmp_path, monkeypatch):
    """Pillow left to itself does start it; without this the tests below would prove nothing."""
    path = tmp_path / "drawing.png"
    path.write_bytes(EPS)
    marker = tmp_path / "started"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{marker}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with Image.open(path) as drawing, pytest.raises((OSError, subprocess.CalledProcessError)):
        drawing.load()
    assert marker.exists()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (EPS, "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(EPS).to_bytes(4, "little") + bytes(18) + EPS, "PostScript"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "HTML or XML"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "a Windows metafile"),
        (b"\x00\x00\x00\x20ftypavif" + bytes(40), "AVIF, HEIC or video"),
        (b"\x0a\x05\x01\x08" + bytes(124), "bytes that start with 0x0a050108"),
    ],
    ids=["eps", "eps-with-preview", "pdf", "svg", "wmf", "avif", "pcx"],
)  # fmt: skip
def test_other_formats_are_refused_by_name_and_start_no_program(tmp_path, watched, reader, content, found):
    data, place = reader(tmp_path, content)
    remedy = f"store it as {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    with refused(place=place, problem="not readable as a picture", found=found, remedy=remedy):
        data.read(np.array([0]))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("reader", READERS)
def test_every_format_of_the_list_is_read_by_its_bytes_and_not_by_its_name(tmp_path, watched, reader, form):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(buffer, form)
    data, _ = reader(tmp_path, buffer.getvalue())
    assert data.read(np.array([0])).shape == (1, 3, 8, 8)


def test_a_file_that_goes_away_is_named(tmp_path):
    with refused(place="gone", problem=some("No such file")), open_picture(tmp_path / "gone.png", "gone"):
        pass


def test_every_picture_that_the_package_opens_is_given_its_formats():
    calls = [
        (path.name, node)
        for path in Path(rbench.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open", "default_loader")
    ]
    assert len(calls) >= 2
    assert [name for name, call in calls if not any(keyword.arg == "formats" for keyword in call.keywords)] == []
