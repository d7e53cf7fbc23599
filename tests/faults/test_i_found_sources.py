"""Rows of the table of faults for data in .npy, tar and Arrow files: what holds for .npz and parquet holds for them."""

import hashlib
import io
import shutil
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_files import grey, run, stopped, suite
from made_pictures import png
from small_runs import rbench as command
from small_runs import records

from rbench.suite.load import load_suite
from rbench.suite.plan import plan

LABELS = np.array([0, 1, 2, 3, 4, 5])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def npy(folder, images, labels):
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    return "name: npy, path: d"


def webdataset(folder, images, labels):
    with tarfile.open(folder / "test-0.tar", "w") as archive:
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            for name, content in ((f"{number:03d}.png", png(image)), (f"{number:03d}.cls", str(label).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return "name: webdataset, path: d"


def hf(folder, images, labels):
    made = pa.table({"image": [{"bytes": png(image), "path": ""} for image in images], "label": labels})
    with pa.OSFile(str(folder / "x-test.arrow"), "wb") as file, pa.ipc.new_stream(file, made.schema) as writer:
        writer.write_table(made)
    return "name: hf:d"


KINDS = {"npy": npy, "webdataset": webdataset, "hf": hf}


@pytest.fixture(params=KINDS)
def written(request, tmp_path):
    """Writes a data set of this kind into a folder and gives it as a suite names it."""
    (tmp_path / "d").mkdir()
    return lambda images, labels, more="": f"{{{KINDS[request.param](tmp_path / 'd', images, labels)}{more}}}"


def test_025_the_images_are_judged_under_ids_in_stored_order(tmp_path, capsys, written):
    code, err = run(tmp_path, written(grey(), LABELS, ", samples: 4, shuffle: false"), capsys)
    assert code == 0, err
    (record,) = records(tmp_path / "run").values()
    assert record.dataset.samples == 4
    (samples,) = (tmp_path / "run" / "samples").glob("*.parquet")
    frame = pq.read_table(samples).to_pandas()
    assert frame["sample"].tolist() == frame["label"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("label", [-1, 10])
def test_019_a_label_out_of_range_is_named_with_its_sample(tmp_path, capsys, written, label):
    labels = LABELS.copy()
    labels[[3, 5]] = label
    stopped(tmp_path, written(grey(), labels), capsys, "sample 3", f"label {label}")


def test_113_one_image_counts_once_and_has_one_label(tmp_path, capsys, written):
    x = grey(5)
    code, err = run(tmp_path, written(np.concatenate([x, x[:1]]), [3, 0, 1, 2, 4, 3]), capsys)
    assert code == 0, err
    assert "1 of 6 samples repeat an image" in err
    shutil.rmtree(tmp_path / "run")
    stopped(tmp_path, written(np.concatenate([x, x[:1]]), LABELS), capsys, "samples 0 and 5", "two labels")


def test_028_data_of_another_sha256_stop_and_the_same_files_elsewhere_are_the_same_cell(tmp_path, capsys, written):
    dataset = written(grey(), LABELS)
    ids = [cell.id for cell in plan(load_suite(suite(tmp_path, dataset), ())).cells]
    wrong = hashlib.sha256(b"another file").hexdigest()
    assert command("plan", suite(tmp_path, dataset.replace("}", f", sha256: {wrong}}}"))) == 4
    assert "dataset.sha256" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "d", tmp_path / "elsewhere" / "d")
    moved = dataset.replace("path: d", "path: elsewhere/d").replace("hf:d", "hf:elsewhere/d")
    cells = plan(load_suite(suite(tmp_path, moved), ())).cells
    assert [cell.id for cell in cells] == ids
    assert all(str(tmp_path) not in str(cell.document()) and "elsewhere" not in str(cell.document()) for cell in cells)
    (tmp_path / "d").mkdir()
    written(grey(seed=1), LABELS)
    assert [cell.id for cell in plan(load_suite(suite(tmp_path, dataset), ())).cells] != ids


@pytest.mark.parametrize("kind", ["npy", "webdataset"])
def test_107_class_names_of_another_number_than_the_logits_are_refused(tmp_path, capsys, kind):
    (tmp_path / "d").mkdir()
    dataset = KINDS[kind](tmp_path / "d", grey(), LABELS)
    (tmp_path / "names.txt").write_text("".join(f"n{number}\n" for number in range(12)))
    stopped(tmp_path, f"{{{dataset}, class_names: names.txt}}", capsys, "12 classes", "10 logits")
