"""Rows 105 to 109, 112 and 113 of the table of faults: pictures and labels that mean something else."""

import struct

import numpy as np
import pytest
import torch
from data_files import deep_png, folders, grey, one_picture, parquet_file, pixels, rgb, run, save, stopped
from made_pictures import encoded, png
from parts import refused, some
from PIL import Image, ImageOps
from small_runs import faults, records, verify

import rbench
from rbench.datasets.image_folder import image_folder
from rbench.datasets.npz import npz
from rbench.datasets.numbered import in_order
from rbench.datasets.parquet import files as parquet_files
from rbench.datasets.parquet import parquet
from rbench.datasets.pictures import FORMATS
from rbench.results.runs import read_runs
from rbench.results.table import table


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_105_a_picture_is_turned_as_its_exif_orientation_says(tmp_path, form, orientation):
    image = rgb()
    exif = image.getexif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if form == "WEBP" else {}
    data = one_picture(tmp_path, encoded(image, form, exif=exif, **lossless))
    tagged = image.copy()
    tagged.getexif()[0x0112] = orientation
    assert np.array_equal(data.read(data.ids)[0], pixels(ImageOps.exif_transpose(tagged)))
    told = ("EXIF orientation applied: 1 of 1 pictures",)
    assert data.told(data.ids) == (told if orientation > 1 else ())


def test_105_a_turned_jpeg_is_told_in_the_run_and_in_the_record(tmp_path, capsys):
    root = folders(tmp_path / "d", [str(n) for n in range(10)])
    image = Image.fromarray(grey(1)[0])
    exif = image.getexif()
    exif[0x0112] = 6
    (root / "3" / "0.png").write_bytes(encoded(image, "JPEG", exif=exif))
    code, err = run(tmp_path, "{name: image-folder, path: d}", capsys)
    assert code == 0, err
    assert "EXIF orientation applied: 1 of 10 pictures" in err
    (record,) = records(tmp_path / "run").values()
    assert record.dataset.told == ("EXIF orientation applied: 1 of 10 pictures",)


def _frames(form, **options):
    return encoded(rgb(), form, save_all=True, append_images=[rgb(seed=1)], **options)


def _deep_tiff():
    """RGB of 16 bits: an 8-bit file whose header says otherwise, with as many bytes."""
    plain = encoded(Image.new("RGB", (4, 8)), "TIFF")
    return plain.replace(struct.pack("<3H", 8, 8, 8), struct.pack("<3H", 16, 16, 16)).replace(
        struct.pack("<HHII", 256, 4, 1, 4), struct.pack("<HHII", 256, 4, 1, 2)
    )


REFUSED = {
    "48-bit PNG": (deep_png(), "16 bits a channel"),
    "48-bit TIFF": (_deep_tiff(), "16 bits a channel"),
    "48-bit PPM": (b"P6\n4 4\n65535\n" + bytes(96), "16 bits a channel"),
    "16-bit grey": (encoded(Image.fromarray(np.zeros((4, 4), np.uint16))), "mode I;16"),
    "animated GIF": (_frames("GIF"), "an animation in a GIF file"),
    "animated WebP": (_frames("WEBP"), "an animation in a WEBP file"),
    "animated PNG": (_frames("PNG"), "an animation in a PNG file"),
    "pages of TIFF": (_frames("TIFF"), "pages in a TIFF file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_106_pictures_of_more_bits_or_frames_are_refused(tmp_path, kind):
    content, found = REFUSED[kind]
    with refused(place=some("one.parquet: image: sample 0"), found=found, remedy=some("store")):
        one_picture(tmp_path, content).read(np.array([0]))


CONVERTED = {
    "palette converted to RGB": encoded(rgb().convert("P")),
    "CMYK converted to RGB": encoded(rgb().convert("CMYK"), "JPEG"),
    "transparency left out": encoded(rgb().convert("RGBA")),
    "black and white converted to grey": encoded(rgb().convert("1")),
    "the first picture of an MPO file taken": _frames("MPO"),
}


@pytest.mark.parametrize("change", CONVERTED)
def test_106_pictures_that_are_converted_are_told(tmp_path, change):
    data = one_picture(tmp_path, CONVERTED[change])
    data.read(data.ids)
    assert f"{change}: 1 of 1 pictures" in data.told(data.ids)


@pytest.mark.skipif("JPEG2000" not in FORMATS, reason="this Pillow was built without JPEG 2000")
def test_106_jpeg_2000_is_read_and_16_bits_of_it_refused(tmp_path):
    data = one_picture(tmp_path, encoded(rgb(), "JPEG2000", irreversible=False))
    assert np.array_equal(data.read(data.ids)[0], pixels(rgb()))
    with refused(problem="pixels are deeper than 8 bits"):
        one_picture(tmp_path, encoded(Image.fromarray(np.zeros((8, 8), np.uint16)), "JPEG2000")).read(np.array([0]))


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow was built without AVIF")
def test_106_avif_is_read_and_an_animation_refused(tmp_path):
    data = one_picture(tmp_path, encoded(rgb(), "AVIF", quality=100))
    assert np.abs(data.read(data.ids)[0] - pixels(rgb())).mean() < 0.2
    with refused(found=some("AVIF")):
        one_picture(tmp_path, _frames("AVIF")).read(np.array([0]))


# --- 107, 108, 109: labels that belong to other pictures ----------------------------------------------------------


def test_107_a_class_folder_that_is_missing_is_told_with_both_counts(tmp_path, capsys):
    folders(tmp_path / "d", [f"class{n}" for n in range(10) if n != 4])
    stopped(tmp_path, "{name: image-folder, path: d}", capsys, "9 classes", "10 logits")


def test_107_class_names_of_another_number_than_the_logits_are_refused(tmp_path, capsys):
    pictures = [png(array) for array in grey()]
    parquet_file(tmp_path / "d.parquet", pictures, names=[f"n{i}" for i in range(12)])
    stopped(tmp_path, "{name: parquet, path: d.parquet}", capsys, "12 classes", "10 logits")


def test_107_folders_of_splits_are_no_classes(tmp_path):
    folders(tmp_path / "d", ["train", "val"])
    with refused(place=str(tmp_path / "d"), found="train, val", remedy=some("give the folder of one")):
        image_folder(tmp_path / "d")


@pytest.mark.parametrize(
    "wanted",
    [
        [f"class{n}" for n in range(5, 15)],
        ["0", "1", "2", "10"],
        ["009", "10", "0011"],
        ["cat_0", "dog_1", "ant_2"],
        ["dog 1", "cat 2", "ant 3"],
        ["0_cat", "1_dog", "2_ant", "10_emu"],
        ["n01440764", "n02102040", "n03000684"],
        ["Audi 100", "BMW 50"],
        ["Acura 2012", "Audi 1994", "Audi 2012"],
        ["ant", "cat", "dog10", "dog9"],
        ["10 ants", "ant"],
    ],
    ids=" ".join,
)
def test_108_names_that_end_in_numbers_are_sorted_as_numbers(wanted):
    for seed in range(4):
        assert in_order(np.random.default_rng(seed).permutation(wanted).tolist()) == wanted


def test_108_the_order_is_told_and_the_mapping_is_in_the_record(tmp_path, capsys):
    names = [f"class{n}" for n in range(5, 15)]
    folders(tmp_path / "d", names)
    code, err = run(tmp_path, "{name: image-folder, path: d}", capsys)
    assert code == 0, err
    assert "0 = class5, 1 = class6" in err
    (record,) = records(tmp_path / "run").values()
    assert list(record.dataset.class_names) == names
    assert any("0 = class5" in line for line in record.dataset.told)


def test_108_each_folder_keeps_its_pictures(tmp_path):
    folders(tmp_path / "d", [f"class{n}" for n in range(5, 15)])
    data = image_folder(tmp_path / "d")
    assert np.array_equal(data.read(data.ids)[5, 0], grey(1, 5)[0] / np.float32(255)), "class10 is label 5"
    assert data.labels.tolist() == list(range(10))


def test_109_labels_of_shape_n_1_are_squeezed_and_told(tmp_path):
    save(tmp_path, grey(), np.arange(6)[:, None])
    data = npz(tmp_path / "x.npz")
    assert data.labels.tolist() == list(range(6))
    assert data.told(data.ids) == ("labels of shape (6, 1) were taken as (6,)",)


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (np.eye(6, dtype=int), "argmax(1)"),
        (np.ones((6, 3), int), "choose one for each"),
        (np.array([[1, 0], [0, 0], [0, 1], [1, 1], [0, 1], [1, 0]]), "choose one for each"),
        (np.arange(6)[None], "labels[0]"),
        (np.array(3), "one for each image"),
    ],
    ids=["one-hot", "all", "several", "one row", "one number"],
)
def test_109_labels_of_another_shape_get_an_advice_that_does_not_make_them_one_class(tmp_path, labels, advice):
    save(tmp_path, grey(), labels)
    with refused(place=some("x.npz: labels"), found=f"shape {labels.shape}", remedy=some(advice)) as caught:
        npz(tmp_path / "x.npz")
    if advice != "argmax(1)":
        assert "argmax" not in str(caught.value)


# --- 112: splits of a folder --------------------------------------------------------------------------------------


def shards(folder, *names):
    for number, name in enumerate(names):
        parquet_file(folder / f"{name}.parquet", [png(array) for array in grey(2, number)], [number] * 2)
    return folder


@pytest.mark.parametrize(
    ("names", "choice"),
    [
        (("train-00000-of-00001", "test-00000-of-00001"), "split: test"),
        (("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"), "split: validation"),
        (("train", "test"), "split: test"),
        (("train-00000-of-00001-0123456789abcdef", "extra_set-00000-of-00001-aa"), "split: extra_set"),
        (("train-00000-of-00001", "more"), "split: train"),
    ],
)
def test_112_two_splits_in_a_folder_are_never_mixed(tmp_path, capsys, names, choice):
    shards(tmp_path / "data", *names)
    with refused(place=str(tmp_path / "data"), problem="several splits", remedy=some(choice)):
        parquet(tmp_path / "data")
    stopped(tmp_path, "{name: parquet, path: data}", capsys, "several splits", choice)


def test_112_one_split_is_taken_and_named_and_only_its_files_are_hashed(tmp_path):
    root = shards(tmp_path / "data", "test-00000-of-00002", "train-00000-of-00001", "test-00001-of-00002")
    data = parquet(root, split="test")
    assert data.labels.tolist() == [0, 0, 2, 2]
    assert data.told(data.ids) == ("split 'test' of data",)
    assert [path.name for path in parquet_files(root, split="test")] == [
        "test-00000-of-00002.parquet",
        "test-00001-of-00002.parquet",
    ]
    with refused(place=some("split"), found="test, train", problem=some("'valid'")):
        parquet(root, split="valid")
    alone = shards(tmp_path / "alone", "train-00000-of-00001")
    assert parquet(alone).told(np.arange(2)) == ("split 'train' of alone",)


def test_112_a_shard_that_is_missing_or_numbers_classes_otherwise_is_refused(tmp_path):
    shards(tmp_path / "gap", "test-00000-of-00003", "test-00002-of-00003")
    with refused(found=some("2 of 3 shards")):
        parquet(tmp_path / "gap")
    pictures = [png(array) for array in grey(2)]
    parquet_file(tmp_path / "other" / "0.parquet", pictures, names=["cat", "dog"])
    parquet_file(tmp_path / "other" / "1.parquet", pictures, names=["dog", "cat"])
    with refused(place=some("1.parquet"), problem=some("other class names")):
        parquet(tmp_path / "other")


# --- 113: images that are there twice -----------------------------------------------------------------------------


def _repeated(tmp_path):
    x = grey(5)
    return save(tmp_path, np.concatenate([np.repeat(x[:1], 12, 0), x[1:]]), np.array([3] * 12 + [0, 1, 2, 4]))


def test_113_n_is_the_number_of_different_images_wherever_it_is_told(tmp_path, capsys):
    code, err = run(tmp_path, _repeated(tmp_path), capsys)
    assert code == 0, err
    assert "11 of 16 samples repeat an image" in err
    assert "n is 5" in err
    root = tmp_path / "run"
    (record,) = records(root).values()
    assert (record.dataset.samples, record.dataset.duplicates) == (5, 11)
    assert any("n is 5" in line for line in record.dataset.told)
    figures = (record.summary.standard_accuracy, record.summary.robust_accuracy, record.summary.noise_accuracy)
    assert {figure.n for figure in figures} == {5}
    (row,) = table(read_runs([root])).rows()
    assert row["n"] == 5

    path = next((root / "records").glob("*.json"))
    path.write_text(path.read_text().replace('"duplicates": 11', '"duplicates": 0'))
    code, found, _ = verify(root, capsys, "--survivors", "0")
    assert code == 4
    assert faults(found) == ["dataset.duplicates: 0, the slice has 11"], "and nothing else"


def test_113_one_image_under_two_labels_is_refused_with_both(tmp_path, capsys):
    x = grey()
    x[4] = x[1]
    stopped(tmp_path, save(tmp_path, x, np.arange(6)), capsys, "samples 1 and 4", "labels 1 and 4", "two labels")


def test_113_evaluate_counts_an_image_once_and_refuses_two_labels():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(4, 1, 4, 4, generator=generator), torch.tensor([0, 1, 2, 0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    options = {"attack": "noise", "eps": 0.1}
    plain = rbench.evaluate(net, x, y, **options)
    with pytest.warns(UserWarning, match="2 of 6 samples repeat an image"):
        twice = rbench.evaluate(net, torch.cat([x, x[:2]]), torch.cat([y, y[:2]]), **options)
    assert twice.robust_accuracy == plain.robust_accuracy
    assert twice.samples["sample"].tolist() == [0, 1, 2, 3]
    with refused(place=some("samples 0 and 4"), found="labels 0 and 1"):
        rbench.evaluate(net, torch.cat([x, x[:1]]), torch.cat([y, y[1:2]]), **options)


def test_113_images_are_compared_as_the_model_is_shown_them(tmp_path, capsys):
    x = 0.25 + grey(6).astype(np.float64) / 512
    x[5] = x[0] + 1e-12  # the same float32
    assert not np.array_equal(x[5], x[0])
    stopped(tmp_path, save(tmp_path, x, np.arange(6)), capsys, "samples 0 and 5")
