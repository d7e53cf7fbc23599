import gzip
import io
import json
import pickle
import tarfile

import numpy as np
import pytest
from made_pictures import encoded, floats, pixels, png
from parts import refused, some
from PIL import Image

from rbench.datasets.webdataset import files, webdataset


def tar(path, members, **options):
    """A tar file of members, each a name and bytes, or a TarInfo and bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if isinstance(name, str):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(count, seed=0, label=lambda n: n % 3):
    images = pixels(count, seed)
    return [
        one
        for n, image in enumerate(images)
        for one in ((f"{seed:02d}{n:02d}.png", png(image)), (f"{seed:02d}{n:02d}.cls", str(label(n)).encode()))
    ]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_read_in_their_order(tmp_path, form):
    deep = [(f"{'x' * 90}/{'y' * 40}/{name}", content) for name, content in samples(4)]
    data = webdataset(tar(tmp_path / "a.tar", deep, format=form))
    assert data.labels.tolist() == [0, 1, 2, 0]
    assert np.array_equal(data.read(np.array([3, 0])), floats(pixels(4))[[3, 0]])


def test_shards_are_ordered_by_their_numbers_and_splits_are_never_mixed(tmp_path):
    for number in range(11):
        tar(tmp_path / "d" / f"test-{number}.tar", samples(1, number))
    tar(tmp_path / "d" / "train-0.tar", samples(1, 50))
    with refused(place=f"{tmp_path / 'd'}: split", problem="several splits", found="test, train"):
        webdataset(tmp_path / "d")
    data = webdataset(tmp_path / "d", split="test")
    assert [path.name for path in files(tmp_path / "d", split="test")][-2:] == ["test-9.tar", "test-10.tar"]
    assert np.array_equal(data.read(np.array([10])), floats(pixels(1, 10)))
    with refused(found="test, train", problem="no split 'val'"):
        webdataset(tmp_path / "d", split="val")
    (tmp_path / "d" / "test-4.tar").unlink()
    with refused(place=str(tmp_path / "d"), found="10 shards, and none with number 4"):
        webdataset(tmp_path / "d", split="test")


def test_a_split_may_be_a_folder(tmp_path):
    for split, seed in (("train", 1), ("test", 2)):
        tar(tmp_path / split / "0.tar", samples(2, seed))
    assert np.array_equal(webdataset(tmp_path, split="test").read(np.array([1])), floats(pixels(2, 2))[1:])
    with refused(problem="several splits", found="test, train", remedy=some("split: test")):
        webdataset(tmp_path)


def test_labels_may_be_numbers_in_json_and_names_lie_in_a_file(tmp_path):
    members = [("a.jpg", encoded(Image.fromarray(pixels(1)[0]), "JPEG")), ("a.json", json.dumps({"id": 1}).encode())]
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    data = webdataset(tar(tmp_path / "a.tar", members), label="json:id", class_names=tmp_path / "names.txt")
    assert data.labels.tolist() == [1]
    assert data.classes[data.labels[0]] == "dog"
    with refused(place=some("a.json"), problem=some("key 'label'")):
        webdataset(tmp_path / "a.tar", label="json")


def test_of_two_pictures_of_a_sample_one_is_named(tmp_path):
    one, other = pixels(2)
    path = tar(tmp_path / "a.tar", [("a.png", png(one)), ("a.mask.png", png(other)), ("a.cls", b"0")])
    assert np.array_equal(webdataset(path).read(np.array([0])), floats(one[None]))
    assert np.array_equal(webdataset(path, image="mask.png").read(np.array([0])), floats(other[None]))
    tar(path, [("a.png", png(one)), ("a.jpg", png(other)), ("a.cls", b"0")])
    with refused(problem="several pictures", remedy=some("image: ENDING")):
        webdataset(path)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([("a.png", b"x")], "no member .cls for the label"),
        ([("a.cls", b"1")], "no picture"),
        ([("a.png", b"x"), ("a.png", b"x")], "a member twice"),
        ([("README", b"x")], "no samples"),
        ([("a.png", b"x"), ("a.cls", b"-1")], "label -1 is no class number"),
        ([("a.png", b"x"), ("a.cls", b"cat")], "no class number"),
        ([("a.png", b"x"), ("a.cls", b"1.0")], "no class number"),
        ([("a.png", b"x"), ("a.cls", b"\xff")], "not readable as a label"),
        ([("a.png", b"x"), ("a.cls", b"9" * (2**20 + 1))], "larger than any label"),
    ],
)
def test_samples_that_are_none_are_told_by_their_member(tmp_path, members, problem):
    with refused(place=some("a.tar"), problem=some(problem)):
        webdataset(tar(tmp_path / "a.tar", members))


def test_a_pickled_label_is_never_looked_at(tmp_path):
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (marker.touch, ())

    bomb = pickle.dumps(Bomb())
    path = tar(tmp_path / "a.tar", [("a.png", png(pixels(1)[0])), ("a.pyd", bomb), ("a.cls", b"0")])
    assert len(webdataset(path)) == 1
    with refused(place=some("a.pyd")):
        webdataset(path, label="pyd")
    assert not marker.exists()


def test_nothing_is_written_and_links_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.png").write_bytes(png(pixels(1)[0]))
    link = tarfile.TarInfo("b.png")
    link.type, link.linkname = tarfile.SYMTYPE, "secret.png"
    outside = tarfile.TarInfo("../outside.png")
    outside.size = 3
    members = [*samples(1), (link, b""), (outside, b"abc"), ("b.cls", b"1"), ("../outside.cls", b"1")]
    before = sorted(tmp_path.rglob("*"))
    path = tar(tmp_path / "d" / "a.tar", members)
    with refused(problem="no picture", place=some("/b")):
        webdataset(path)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "d", path])


@pytest.mark.parametrize("damage", ["cut", "header", "gzip", "text", "empty"])
def test_a_tar_file_that_is_damaged_never_loses_samples_silently(tmp_path, damage):
    path = tar(tmp_path / "a.tar", samples(3))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: 512 * 3 + 5]
    elif damage == "header":
        content[2 * 1024 + 2] ^= 0xFF  # in the name of the third member: its checksum is wrong
    elif damage == "gzip":
        content = gzip.compress(bytes(content))
    else:
        content = b"" if damage == "empty" else b"not a tar file " * 100
    path.write_bytes(content)
    with refused(place=str(path), problem=some("not readable as an uncompressed tar file")):
        webdataset(path)


def test_headers_that_are_out_of_proportion_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "a.tar"
    long = tarfile.TarInfo("long")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 2**30
    with path.open("wb") as file:
        file.write(long.tobuf())
        file.truncate(2**30 + 1024)
    with refused(place=str(path), problem=some("a header of 1,073,741,")):
        webdataset(path)


def test_a_picture_larger_than_any_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.tar"
    huge = tarfile.TarInfo("a.png")
    huge.size = 2**33
    with path.open("wb") as file:
        file.write(huge.tobuf())
        file.seek(2**33, 1)
        label = tarfile.TarInfo("a.cls")
        label.size = 1
        file.write(label.tobuf() + b"0" + bytes(511 + 1024))
    data = webdataset(path)
    with refused(place=some("sample 0"), problem="larger than any picture", found=some("8,589,934,592")):
        data.read(np.array([0]))
    path = tar(tmp_path / "b.tar", [("a.png", encoded(Image.new("L", (13000, 13000)))), ("a.cls", b"0")])
    with refused(place=some("sample 0"), found=some("13000x13000 pixels")):
        webdataset(path).read(np.array([0]))


def test_names_of_members_cannot_act_on_a_terminal(tmp_path):
    path = tar(tmp_path / "a.tar", [("\x1b[2J\n.png", b"x"), ("\x1b[2J\n.cls", b"x")])
    with refused(problem="no class number") as caught:
        webdataset(path)
    assert str(caught.value).isprintable()
