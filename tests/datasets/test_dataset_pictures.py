import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parts import refused, some
from PIL import Image
from torchvision import transforms

from rbench.datasets.image_folder import image_folder
from rbench.datasets.parquet import files as parquet_files
from rbench.datasets.parquet import parquet


def photo(height=20, width=30, seed=0, channels=3):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), dtype=np.uint8)
    image = Image.fromarray(coarse if channels == 3 else coarse[..., 0]).resize((width, height))
    return np.asarray(image)


def encoded(array, form="PNG", mode=None):
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, form)
    return buffer.getvalue()


def write(path, pictures, labels=None, *, names=None, image="image", label="label", rows=2, struct=True):
    labels = list(range(len(pictures))) if labels is None else labels
    cells = [{"bytes": p, "path": None} for p in pictures] if struct else pictures
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    table = pa.table({image: pa.array(cells, kind), label: labels})
    if names:
        feature = {"names": names, "_type": "ClassLabel"}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {label: feature}}})})
    pq.write_table(table, path, row_group_size=rows)
    return path


def test_parquet_gives_the_stored_pixels_labels_and_class_names(tmp_path):
    arrays = [photo(seed=i) for i in range(5)]
    path = write(tmp_path / "a.parquet", [encoded(a) for a in arrays], [2, 0, 1, 1, 0], names=["x", "y", "z"])
    data = parquet(path)
    assert data.classes == ("x", "y", "z")
    assert data.labels.tolist() == [2, 0, 1, 1, 0]
    assert data.shape == (3, 20, 30)
    ids = np.array([4, 0, 3])
    expected = np.stack([arrays[i] for i in ids]).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    assert np.array_equal(data.read(ids), expected)
    assert parquet_files(path) == [path]


def test_shards_of_a_folder_are_read_in_the_order_of_their_names(tmp_path):
    for shard in (1, 0):
        write(tmp_path / f"{shard}.parquet", [encoded(photo(seed=3 * shard + i)) for i in range(3)], [shard] * 3)
    data = parquet(tmp_path)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(
        data.read(np.array([4]))[0].transpose(1, 2, 0), photo(seed=4).astype(np.float32) / np.float32(255)
    )
    assert [path.name for path in parquet_files(tmp_path)] == ["0.parquet", "1.parquet"]


def test_columns_of_other_names_are_found_if_there_is_only_one_candidate(tmp_path):
    path = write(tmp_path / "a.parquet", [encoded(photo())], image="img", label="fine", struct=False)
    assert parquet(path).shape == (3, 20, 30)
    columns, remedy = "img (binary), fine (int64)", "name it with image: COLUMN"
    with refused(place=str(path), problem=some("'pic'"), found=columns, remedy=remedy):
        parquet(path, image="pic")
    with refused(place=f"{path}: image", found="int64 in column 'fine'", remedy=remedy):
        parquet(path, image="fine")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize(("height", "width"), [(40, 61), (61, 40), (40, 40), (33, 95)])
def test_size_and_crop_give_the_pixels_of_torchvisions_transforms(tmp_path, form, height, width):
    content = encoded(photo(height, width), form)
    data = parquet(write(tmp_path / "a.parquet", [content]), size=24, crop=17)
    transform = transforms.Compose([transforms.Resize(24), transforms.CenterCrop(17), transforms.ToTensor()])
    expected = transform(Image.open(io.BytesIO(content)))
    assert data.shape == (3, 17, 17)
    assert np.array_equal(data.read(np.array([0]))[0], expected.numpy())


def test_grey_pictures_stay_grey_unless_told_otherwise(tmp_path):
    content = encoded(photo(channels=1))
    path = write(tmp_path / "a.parquet", [content, content])
    assert parquet(path).shape == (1, 20, 30)
    assert parquet(path, channels=3).shape == (3, 20, 30)
    mixed = write(tmp_path / "b.parquet", [content, encoded(photo())])
    with refused(place=f"{mixed}: images: sample 1", found="shape (3, 20, 30)", remedy=some("channels: 3")):
        parquet(mixed).read(np.arange(2))
    assert parquet(mixed, channels=3).read(np.arange(2)).shape == (2, 3, 20, 30)
    assert parquet(mixed, channels=1).read(np.arange(2)).shape == (2, 1, 20, 30)


def test_palettes_and_alpha_become_rgb(tmp_path):
    path = write(tmp_path / "a.parquet", [encoded(photo(), mode="RGBA"), encoded(photo(), mode="P")])
    assert parquet(path).read(np.arange(2)).shape == (2, 3, 20, 30)


def test_pictures_of_mixed_sizes_ask_for_size_and_crop(tmp_path):
    path = write(tmp_path / "a.parquet", [encoded(photo(20, 30)), encoded(photo(20, 31))])
    with refused(place=f"{path}: images: sample 1", found="shape (3, 20, 31)", remedy=some("give size and crop")):
        parquet(path).read(np.arange(2))
    assert parquet(path, size=16, crop=16).read(np.arange(2)).shape == (2, 3, 16, 16)
    with refused(place=f"{path}: image: sample 0", found="30x20", remedy="give a size of at least 25"):
        parquet(path, crop=25).read(np.arange(2))


@pytest.mark.parametrize(
    ("content", "found", "remedy"),
    [
        (encoded(photo())[:60], None, "is it truncated"),
        (encoded(photo())[:12], "a damaged PNG", "store it as PNG, JPEG"),
        (encoded(photo(), "JPEG")[:300], None, "is it truncated"),
        (encoded(photo(), "JPEG")[:3], "a damaged JPEG", "store it as PNG, JPEG"),
        (b"<html>", "HTML or XML", "store it as PNG, JPEG"),
        (b" ", "bytes that start with 0x20", "store it as PNG, JPEG"),
        (None, None, "store the encoded pictures"),
        (encoded(photo(channels=1).astype(np.uint16) * 200), "mode I;16", "8-bit"),
    ],
)
def test_a_broken_picture_is_named(tmp_path, content, found, remedy):
    path = write(tmp_path / "a.parquet", [encoded(photo()), content])
    with refused(place=f"{path}: image: sample 1", found=found, remedy=some(remedy)):
        parquet(path).read(np.arange(2))


@pytest.mark.parametrize(
    ("labels", "where", "found"),
    [
        ([0, None], ": label", None),
        ([0.5, 1.0], ": label: labels", "float64 values (the first is 0.5)"),
        (["a", "b"], ": label: labels", "object values (the first is 'a')"),
        ([0, -3], ": label: labels: sample 1", "label -3"),
        ([0, 2], ": labels: sample 1", "label 2"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, labels, where, found):
    path = write(tmp_path / "a.parquet", [encoded(photo())] * 2, labels, names=["a", "b"])
    with refused(place=f"{path}{where}", found=found, remedy=some("")):
        parquet(path)


def test_damaged_metadata_only_cost_the_class_names(tmp_path):
    path = tmp_path / "a.parquet"
    for text in (b"{", b"[]", b'{"info": {"features": {"label": {"names": [1, 2]}}}}'):
        table = pq.read_table(write(path, [encoded(photo())])).replace_schema_metadata({b"huggingface": text})
        pq.write_table(table, path)
        assert parquet(path).classes == ()


def test_a_parquet_file_that_is_none_is_refused(tmp_path):
    whole = write(tmp_path / "a.parquet", [encoded(photo())]).read_bytes()
    path = tmp_path / "b.parquet"
    for content in (b"", b"PAR1", whole[:-9], whole[: len(whole) // 2], whole[9:]):
        path.write_bytes(content)
        with refused(place=str(path), problem=some("not readable as a parquet file")):
            parquet(path)
    with refused(place=str(tmp_path / "missing.parquet"), problem="no such file"):
        parquet(tmp_path / "missing.parquet")
    (tmp_path / "empty").mkdir()
    with refused(place=str(tmp_path / "empty"), problem="no .parquet files in this folder"):
        parquet(tmp_path / "empty")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pets"
    for number, (name, count) in enumerate({"dog": 2, "cat": 3, "emu": 0}.items()):
        (root / name / "deeper").mkdir(parents=True)
        for i in range(count):
            place = root / name / ("deeper" if i == 2 else ".") / f"{i}.png"
            Image.fromarray(photo(seed=10 * number + i)).save(place)
    (root / "cat" / "notes.txt").write_text("no picture")
    (root / "cat" / ".hidden.png").write_bytes(b"no picture")
    (root / ".cache").mkdir()
    return root


def test_a_folder_is_numbered_by_the_sorted_names_of_its_classes(folder):
    data = image_folder(folder)
    assert data.classes == ("cat", "dog", "emu")
    assert data.labels.tolist() == [0, 0, 0, 1, 1]
    pixels = data.read(np.array([3]))[0].transpose(1, 2, 0)
    assert np.array_equal(pixels, photo(seed=0).astype(np.float32) / np.float32(255))
    assert image_folder(folder, size=12, crop=12, channels=1).shape == (1, 12, 12)


def test_a_folder_without_classes_or_pictures_is_refused(folder, tmp_path):
    with refused(place=str(tmp_path / "missing"), problem="no such folder"):
        image_folder(tmp_path / "missing")
    with refused(place=str(folder / "cat" / "deeper"), problem="no pictures in its 0 class folders"):
        image_folder(folder / "cat" / "deeper")
    (folder / "dog" / "0.png").write_bytes(b"")
    with refused(place=str(folder / "dog" / "0.png"), problem="not readable as a picture", found="0 bytes"):
        image_folder(folder).read(np.arange(5))
