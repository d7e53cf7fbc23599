"""Rows 19 to 30 of the table of faults: data that are wrong, broken or other than the suite says."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from data_files import folders, grey, parquet_file, run, save, stopped, suite
from made_pictures import encoded, png
from parts import refused, some
from PIL import Image
from small_runs import rbench as command
from small_runs import records

import rbench
from rbench.bundled_files import weights_file
from rbench.datasets.npz import npz
from rbench.datasets.parquet import parquet
from rbench.running.components import Components
from rbench.running.trained_on import data_told
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

LABELS = np.array([0, 1, 2, 3, 4, 5])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("label", [-1, 10, 2**40])
def test_019_a_label_out_of_range_is_named_with_its_sample(tmp_path, capsys, label):
    labels = LABELS.copy()
    labels[[3, 5]] = label
    stopped(tmp_path, save(tmp_path, grey(), labels), capsys, "sample 3", f"label {label}")


@pytest.mark.parametrize("labels", [LABELS / 2, LABELS.astype(float), LABELS.astype(str), LABELS > 2])
def test_020_labels_that_are_no_integers_are_refused(tmp_path, capsys, labels):
    stopped(tmp_path, save(tmp_path, grey(), labels), capsys, "x.npz: labels", str(labels.dtype), "integers from 0 up")


def spoilt(value):
    x = grey()[:, None].astype(np.float32) / 255
    x[4, 0, 3, 3] = value
    return x


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        pytest.param(grey().astype(np.float32), ("sample 0", "values from 0 to 255", "divide by 255"), id="floats"),
        pytest.param(grey().astype(np.int64), ("int64 values from 0 to 255", "store uint8"), id="integers"),
        pytest.param(spoilt(1.5), ("sample 4", "to 1.5", "scale or clip"), id="one pixel"),
    ],
)
def test_021_images_up_to_255_are_refused_with_the_values_found_and_the_cure(tmp_path, capsys, x, parts):
    stopped(tmp_path, save(tmp_path, x, LABELS), capsys, *parts)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), (0.2860, 0.3530)])
def test_022_normalised_images_are_refused(tmp_path, capsys, mean, std):
    x = (grey() / np.float32(255) - np.float32(mean)) / np.float32(std)
    stopped(tmp_path, save(tmp_path, x, LABELS), capsys, "sample 0", "values from -", "undo the normalisation")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_023_a_pixel_that_is_no_number_is_named_with_its_sample(tmp_path, capsys, value):
    stopped(tmp_path, save(tmp_path, spoilt(value), LABELS), capsys, "sample 4", "NaN or infinite")


@pytest.mark.parametrize("count", [5, 7, 1])
def test_024_images_and_labels_of_different_number_are_told_with_both(tmp_path, capsys, count):
    dataset = save(tmp_path, grey(), np.zeros(count, int))
    stopped(tmp_path, dataset, capsys, "6 images", f"{count} labels")


def test_025_no_samples_is_no_accuracy(tmp_path, capsys):
    stopped(tmp_path, save(tmp_path, grey(0), np.zeros(0, int)), capsys, "no samples", "undefined")
    stopped(tmp_path, save(tmp_path, grey(), LABELS).replace("}", ", samples: 7}"), capsys, "7 asked for", "has 6")


def test_025_no_sample_that_is_right_is_an_accuracy_of_all_samples(tmp_path, capsys):
    x = grey()
    with torch.no_grad():
        shown = rbench.load("backbone", "bundled:fashion-cnn")(torch.from_numpy(x[:, None] / np.float32(255))).argmax(1)
    code, err = run(tmp_path, save(tmp_path, x, (shown.numpy() + 1) % 10), capsys)
    assert code == 0, err
    (record,) = records(tmp_path / "run").values()
    for figure in (record.summary.standard_accuracy, record.summary.robust_accuracy):
        assert (figure.value, figure.n) == (0.0, 6)
        assert figure.high > 0.3, "six samples say little"


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        (np.zeros((6, 784)), ("shape (6, 784)", "[N, C, H, W]")),
        (np.full((6, 3, 28, 3), 0.5), ("shape (6, 3, 28, 3)", "layout: NCHW or NHWC")),
        (grey().repeat(2, 1), ("fashion-cnn", "(1, 56, 28)")),
        (np.stack([grey()] * 3, 1), ("fashion-cnn", "(3, 28, 28)")),
    ],
    ids=["vectors", "either", "other size", "colour"],
)
def test_026_images_of_another_shape_are_refused_with_the_shape(tmp_path, capsys, x, parts):
    stopped(tmp_path, save(tmp_path, x, LABELS), capsys, *parts)


def test_026_images_of_two_shapes_are_refused_before_anything_runs(tmp_path, capsys):
    folders(tmp_path / "pictures", [str(n) for n in range(10)])
    Image.fromarray(grey(1)[0, :20]).save(tmp_path / "pictures" / "9" / "0.png")
    stopped(tmp_path, "{name: image-folder, path: pictures}", capsys, "sample 9", "(1, 20, 28)", "size and crop")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_026_another_number_of_bits_is_converted_and_told(tmp_path, dtype):
    x = (grey() / 255).astype(dtype)
    save(tmp_path, x[..., None], LABELS)
    data = npz(tmp_path / "x.npz")
    assert np.array_equal(data.read(data.ids)[:, 0], x.astype(np.float32))
    assert data.told(data.ids) == (f"images of {np.dtype(dtype)} were rounded to float32",)


def _bytes_of_npz(tmp_path):
    save(tmp_path, grey(), LABELS)
    return (tmp_path / "x.npz").read_bytes()


@pytest.mark.parametrize("content", ["", "PK", "<html>", "cut", "flipped"])
def test_027_an_archive_that_is_damaged_is_refused(tmp_path, content):
    whole = _bytes_of_npz(tmp_path)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0x40]) + whole[middle + 1 :]
    (tmp_path / "x.npz").write_bytes({"cut": whole[:middle], "flipped": flipped}.get(content, content.encode()))
    with refused(place=some("x.npz"), problem=some("not readable as an .npz file")) as caught:
        npz(tmp_path / "x.npz")
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize("kind", ["object array", "pickle", "npy"])
def test_027_pickled_objects_are_never_loaded_and_nothing_advises_to(tmp_path, kind):
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (marker.touch, ())

    objects, path = np.array([Bomb()], object), tmp_path / "x.npz"
    if kind == "object array":
        np.savez(path, images=objects, labels=LABELS)
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, objects)
    else:
        path.write_bytes(objects.dumps())
    with refused(place=some("x.npz")) as caught:
        npz(path)
    assert not marker.exists()
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize("where", ["parquet", "image-folder"])
def test_027_a_picture_that_is_cut_is_named_before_anything_runs(tmp_path, capsys, where):
    cut = png(grey(1)[0])[:300]
    if where == "parquet":
        parquet_file(tmp_path / "d", [png(grey(1, n)[0]) for n in range(9)] + [cut])
    else:
        (folders(tmp_path / "d", [str(n) for n in range(10)]) / "9" / "0.png").write_bytes(cut)
    place = "sample 9" if where == "parquet" else "9/0.png"
    stopped(tmp_path, f"{{name: {where}, path: d}}", capsys, place, "not readable as a picture")


def test_027_a_parquet_page_whose_checksum_is_wrong_is_refused(tmp_path):
    import pyarrow.parquet as pq

    path = parquet_file(tmp_path / "d.parquet", [png(grey(1, n)[0]) for n in range(4)])
    pq.write_table(pq.read_table(path), path, write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    content[content.find(b"IDAT") + 40] ^= 1
    path.write_bytes(content)
    with refused(place=str(path), problem=some("not readable as a parquet file")):
        parquet(path).read(np.arange(4))


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_028_data_of_another_sha256_stop_with_exit_code_4_and_both_hashes(tmp_path, capsys, verb):
    dataset = save(tmp_path, grey(), LABELS)
    found = hashlib.sha256((tmp_path / "x.npz").read_bytes()).hexdigest()
    wanted = hashlib.sha256(b"another file").hexdigest()
    options = ("--out", tmp_path / "run") if verb == "run" else ()
    assert command(verb, suite(tmp_path, dataset.replace("}", f", sha256: {wanted}}}")), *options) == 4
    err = capsys.readouterr().err
    assert "dataset.sha256" in err
    assert found in err
    assert wanted in err
    assert not list(tmp_path.glob("run/records/*"))
    assert command("plan", suite(tmp_path, dataset.replace("}", f", sha256: {found}}}"))) == 0


def test_028_the_sha256_of_several_files_is_that_of_their_lines_and_no_part_of_the_cell(tmp_path):
    for number in range(2):
        parquet_file(tmp_path / "d" / f"{number}.parquet", [png(grey(1, number)[0])] * 2)
    lines = (f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted((tmp_path / "d").iterdir()))
    wanted = hashlib.sha256("".join(lines).encode()).hexdigest()
    plain = plan(load_suite(suite(tmp_path, "{name: parquet, path: d}"), ()))
    pinned = plan(load_suite(suite(tmp_path, f"{{name: parquet, path: d, sha256: {wanted}}}"), ()))
    assert [cell.id for cell in pinned.cells] == [cell.id for cell in plain.cells]
    assert f"sha256: {wanted}" in pinned.resolved
    assert "sha256" not in plain.resolved


def _trained(tmp_path, **changes):
    """Weights of a purifier with a card that tells of the bundled data."""
    weights = tmp_path / "ae.safetensors"
    shutil.copy(weights_file("bundled:fashion-autoencoder"), weights)
    text = (
        "{name: fashion-mnist-mini, samples: 40}\npurifiers: [identity, {name: autoencoder, weights: ae.safetensors}]"
    )
    cells = plan(load_suite(suite(tmp_path, text), ())).cells
    card = {
        "weights": {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
        "files": dict(cells[0].dataset.files),
        "recipe": {"dataset": {"name": "fashion-mnist-mini", "samples": 500, "shuffle": 1, **changes}},
    }
    weights.with_suffix(".json").write_text(json.dumps(card))
    return cells


def test_029_images_that_the_purifier_was_trained_on_are_counted_from_its_card(tmp_path):
    bare, defended = _trained(tmp_path)
    components = Components(torch.device("cpu"))
    mine = set(np.random.default_rng(0).permutation(1000)[:40]) & set(np.random.default_rng(1).permutation(1000)[:500])
    (line,) = data_told(defended, components)
    assert line.startswith(f"{len(mine)} of 40 images")
    assert "autoencoder" in line
    assert data_told(bare, components) == ()


@pytest.mark.parametrize("changes", [{"samples": "all"}, {"name": "other"}, {"split": "train"}, None])
def test_029_a_card_of_other_data_or_none_says_nothing(tmp_path, changes):
    cells = _trained(tmp_path, **(changes or {}))
    if changes is None:
        (tmp_path / "ae.json").write_text('{"weights": []}')
    assert data_told(cells[1], Components(torch.device("cpu"))) == ()


def test_030_a_batch_of_one_is_judged_like_the_others():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(5, 1, 4, 4, generator=generator), torch.tensor([0, 1, 2, 0, 1])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    whole, split = (rbench.evaluate(net, x, y, attack="pgd", steps=3, eps=0.1, batch_size=size) for size in (5, 4))
    assert split.result_hash == whole.result_hash
    assert split.flag_names == whole.flag_names
    one = rbench.evaluate(net, x[:1], y[:1], attack="pgd", steps=3, eps=0.1)
    assert one.samples["robust"].tolist() == whole.samples["robust"].tolist()[:1]
    assert one.robust_accuracy.n == 1


def test_028_a_hash_that_is_none_is_told_by_its_field(tmp_path, capsys):
    path = suite(tmp_path, save(tmp_path, grey(), LABELS).replace("}", ", sha256: abc}"))
    assert command("plan", path) == 2
    assert "dataset.sha256" in capsys.readouterr().err


def test_027_a_file_of_pictures_that_are_encoded_as_they_should_is_read(tmp_path):
    data = parquet(parquet_file(tmp_path / "d.parquet", [encoded(Image.fromarray(a)) for a in grey(3)]))
    assert np.array_equal(data.read(data.ids)[:, 0], grey(3) / np.float32(255))
