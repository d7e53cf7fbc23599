"""Rows 103 and 104 of the table of faults: data that act or explode."""

import gzip
import json
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_files import deep_png, folders, one_picture, parquet_file, pixels, rgb
from made_pictures import encoded, png
from parts import refused, some
from PIL import EpsImagePlugin, Image
from small_runs import environment

from rbench.datasets.image_folder import image_folder
from rbench.datasets.npz import npz
from rbench.datasets.parquet import parquet

LIMIT = 512 * 2**20


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- 103: data that act -------------------------------------------------------------------------------------------

ACTIVE = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n0 0 8 8 rectfill\nshowpage\n",
    "PDF": b"%PDF-1.7\n1 0 obj\n<< /OpenAction << /S /JavaScript >> >>\n",
    "HTML or XML": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    "a Windows metafile": b"\xd7\xcd\xc6\x9a" + bytes(60),
}


@pytest.mark.parametrize("kind", ACTIVE)
@pytest.mark.parametrize("where", ["cell", "file"])
def test_103_an_active_format_is_refused_by_name_and_no_program_is_started(tmp_path, monkeypatch, kind, where):
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda *given, **more: pytest.fail(f"started {given[1:]}"))
    if where == "cell":
        data = one_picture(tmp_path, ACTIVE[kind])
    else:
        (folders(tmp_path / "d", ["a"]) / "a" / "0.png").write_bytes(ACTIVE[kind])
        data = image_folder(tmp_path / "d")
    with refused(problem="not readable as a picture", found=kind, remedy=some("store it as PNG")):
        data.read(np.array([0]))


# --- 104: data that explode ---------------------------------------------------------------------------------------


def _npz_of_zeros(path, count=2**17, lie=None):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        shape = lie or (count, 1, 64, 64)
        np.lib.format.write_array_header_2_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for _ in range(count // 512):
            member.write(bytes(8 * 2**20))
    with zipfile.ZipFile(path, "a") as archive, archive.open("labels.npy", "w") as member:
        np.lib.format.write_array(member, np.zeros(count, np.int64))


def _idx_of_zeros(folder):
    head = struct.pack(">4I", 0x803, 10**6, 28, 28)
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(96):
            file.write(bytes(2**20))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 10**6) + bytes(10**6))


def _tiled(side):
    """A TIFF of 16 x 16 pixels in one tile of more."""
    data = zlib.compress(bytes(256))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 134, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


def _lying(content):
    """A parquet file whose footer says that its column of pictures unpacks to one byte; its pages say what is true."""
    size = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0).column(0).total_uncompressed_size
    digits = [(2 * size >> shift) & 127 for shift in range(0, 35, 7)]  # as Thrift writes it, in groups of seven bits
    while not digits[-1]:
        digits.pop()
    said = bytes([digit | 128 for digit in digits[:-1]] + digits[-1:])
    assert content.count(said) == 1
    return content.replace(said, b"\x82" + b"\x80" * (len(said) - 2) + b"\0")


def _bombs(folder):
    """What each file is, and the data set that would be read of it."""
    for name in ("npz", "idx", "sparse", "pages"):
        (folder / name).mkdir()
    _npz_of_zeros(folder / "npz" / "x.npz", 2**13)
    yield "npz of zeros", "npz", folder / "npz" / "x.npz"
    _npz_of_zeros(folder / "npz" / "lie.npz", 512, lie=(2**30, 1, 64, 64))
    yield "npz that lies", "npz", folder / "npz" / "lie.npz"
    _idx_of_zeros(folder / "idx")
    yield "idx of zeros", "idx", folder / "idx"
    white = pa.array([bytes(2**22)] * 20, pa.binary())
    plain = {"compression": "zstd", "use_dictionary": False}
    pq.write_table(pa.table({"image": white, "label": [0] * 20}), folder / "plain.parquet", **plain)
    yield "parquet of zeros", "parquet", folder / "plain.parquet"
    (folder / "lie.parquet").write_bytes(_lying((folder / "plain.parquet").read_bytes()))
    assert pq.ParquetFile(folder / "lie.parquet").metadata.row_group(0).column(0).total_uncompressed_size == 1
    yield "parquet whose footer lies", "parquet", folder / "lie.parquet"
    repeated = pa.array([bytes(2**20 - 8)] * 100, pa.binary())
    pq.write_table(
        pa.table({"image": repeated, "label": [0] * 100}), folder / "again.parquet", dictionary_pagesize_limit=2**22
    )
    yield "parquet that repeats", "parquet", folder / "again.parquet"
    few = pa.table({"image": pa.array([b""], pa.binary()), "label": pa.array([0])})
    rows = few.take(pa.array(np.zeros(9 * 10**6, np.int32)))
    pq.write_table(rows, folder / "rows.parquet")
    yield "parquet of rows", "parquet", folder / "rows.parquet"
    parquet_file(folder / "white.parquet", [encoded(Image.new("L", (5000, 5000)))], [0])
    yield "white PNG", "parquet", folder / "white.parquet"
    huge = bytearray(deep_png())
    huge[16:25] = struct.pack(">IIB", 2**31 - 1, 2**31 - 1, 8)
    parquet_file(folder / "head.parquet", [bytes(huge)], [0])
    yield "PNG that lies", "parquet", folder / "head.parquet"
    parquet_file(folder / "tiff.parquet", [_tiled(60000)], [0])
    yield "TIFF of large tiles", "parquet", folder / "tiff.parquet"
    folders(folder / "sparse", ["a"])
    with (folder / "sparse" / "a" / "0.png").open("r+b") as file:
        file.truncate(20 * 2**30)
    yield "sparse picture", "image-folder", folder / "sparse"


READ = """\
import json, resource, sys
from pathlib import Path
import numpy as np
from rbench.datasets import idx, image_folder, npz, parquet
from rbench.errors import InputError
def spent():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
def high():
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows["VmHWM"].split()[0]) * 1024
kinds = {"npz": npz.npz, "idx": idx.idx, "parquet": parquet.parquet, "image-folder": image_folder.image_folder}
for name, kind, path in json.loads(sys.stdin.read()):
    before, told = spent(), None
    try:
        kinds[kind](Path(path)).read(np.arange(1))
    except InputError as error:
        told = str(error)
    print(json.dumps([name, told, spent() - before, high()]), flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the most memory a process had is read from /proc")
def test_104_what_unpacks_to_gigabytes_is_refused_within_a_second_and_512_mib(tmp_path):
    bombs = [(name, kind, str(path)) for name, kind, path in _bombs(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", READ], input=json.dumps(bombs), capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(bombs)
    for name, told, seconds, memory in found:
        assert told is not None, name
        assert "\n" not in told
        assert seconds < 1, (name, seconds)
        assert memory < LIMIT, (name, memory)


def test_104_the_size_found_and_the_most_that_is_read_are_told(tmp_path):
    _npz_of_zeros(tmp_path / "x.npz", 2**13)
    with refused(place=str(tmp_path / "x.npz"), found=some("134,283,264 bytes of arrays"), remedy=some("at most 67,")):
        npz(tmp_path / "x.npz")
    data = one_picture(tmp_path, encoded(Image.new("L", (13000, 13000))))
    with refused(place=some("one.parquet"), found=some("13000x13000 pixels")):
        data.read(np.array([0]))


def test_104_large_arrays_of_real_images_are_read(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), np.uint8).astype(np.float32) / 255
    save_as = tmp_path / "x.npz"
    np.savez(save_as, images=x.repeat(3, 0), labels=np.zeros(6000, int))
    assert x.nbytes * 3 > 2**26
    assert len(npz(save_as)) == 6000


def test_104_pictures_that_are_there_often_are_read_and_unpacked_once(tmp_path):
    white = encoded(Image.new("RGB", (64, 64), "white"))
    data = parquet(parquet_file(tmp_path / "d.parquet", [white, png(np.asarray(rgb(64, 64)))] * 50, [0, 1] * 50))
    read = data.read(np.array([99, 0, 98]))
    assert np.array_equal(read[0], pixels(rgb(64, 64)))
    assert (read[1:] == 1).all()


# --- 105, 106: pictures that mean something else ------------------------------------------------------------------
