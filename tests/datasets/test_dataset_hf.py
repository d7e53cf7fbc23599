import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_pictures import encoded, floats, pixels, png
from parts import refused, some
from PIL import Image

from rbench.datasets.hf import files, hf
from rbench.errors import MissingError

COMMIT, OTHER = "a" * 40, "b" * 40
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog", "emu"], "_type": "ClassLabel"},
}
METADATA = {"huggingface": json.dumps({"info": {"features": FEATURES}})}


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Caches of this test alone."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)


def table(count=4, seed=0, metadata=METADATA):
    pictures = [{"bytes": png(image), "path": "p"} for image in pixels(count, seed)]
    return pa.table({"image": pictures, "label": [n % 3 for n in range(count)]}).replace_schema_metadata(metadata)


def arrow(path, made=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = table() if made is None else made
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema, **options) as writer:
        writer.write_table(made, max_chunksize=3)
    return path


def parquet_file(path, made=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table() if made is None else made, path)
    return path


def holds(data, seed=0, count=4):
    assert data.labels.tolist() == [n % 3 for n in range(count)]
    assert data.classes == ("cat", "dog", "emu")
    order = np.arange(count)[::-1].copy()
    assert np.array_equal(data.read(order), floats(pixels(count, seed))[::-1])


# --- Arrow files, for which the library is not needed -------------------------------------------------------------


def test_a_folder_of_the_librarys_cache_is_read_by_split(tmp_path):
    arrow(tmp_path / "d" / "tiny-test-00000-of-00002.arrow", table(4, 1))
    arrow(tmp_path / "d" / "tiny-test-00001-of-00002.arrow", table(4, 2))
    arrow(tmp_path / "d" / "tiny-train.arrow", table(4, 3))
    arrow(tmp_path / "d" / "cache-0123456789abcdef.arrow", table(4, 4))
    holds(hf(tmp_path / "d", split="train"), 3)
    data = hf(tmp_path / "d", split="test")
    assert np.array_equal(data.read(np.array([1, 6])), floats(np.stack([pixels(4, 1)[1], pixels(4, 2)[2]])))
    assert len(files(tmp_path / "d", split="test")) == 2
    assert data.told(data.ids)[0] == "split 'test'"
    with refused(place=f"{tmp_path / 'd'}: split", problem="several splits", found="test, train"):
        hf(tmp_path / "d")
    (tmp_path / "d" / "tiny-test-00001-of-00002.arrow").unlink()
    with refused(found="1 like tiny-test-00000-of-00002.arrow"):
        hf(tmp_path / "d", split="test")


def test_a_commit_that_the_library_has_prepared_is_found_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("RBENCH_OFFLINE", "1")
    arrow(tmp_path / "hf" / "datasets" / "me___tiny" / "default" / "0.0.0" / COMMIT / "tiny-test.arrow")
    folder = tmp_path / "hf" / "datasets" / "me___tiny"
    data = hf(Path("me/tiny"), revision=COMMIT)
    holds(data)
    holds(hf(folder))
    assert data.provenance["hub"] == "me/tiny"
    assert data.provenance["revision"] == COMMIT
    arrow(folder / "other" / "0.0.0" / COMMIT / "tiny-test.arrow")
    with refused(found="default, other", remedy="name one: config: NAME"):
        hf(Path("me/tiny"), revision=COMMIT)
    holds(hf(Path("me/tiny"), revision=COMMIT, config="other"))
    with refused(place=str(folder), problem="several data sets"):
        hf(folder)


@pytest.mark.parametrize("how", ["lz4", "zstd"])
def test_a_compressed_arrow_file_is_refused_before_it_is_unpacked(tmp_path, how):
    path = arrow(tmp_path / "d" / "x-test.arrow", options=pa.ipc.IpcWriteOptions(compression=how))
    with refused(place=str(path), problem="a compressed Arrow file", remedy=some("save_to_disk")):
        hf(tmp_path / "d")


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "length", "offsets", "body"])
def test_an_arrow_file_that_is_damaged_is_refused(tmp_path, damage):
    path = arrow(tmp_path / "d" / "x-test.arrow")
    content = bytearray(path.read_bytes())
    if damage == "offsets":  # of the pictures of the first batch: the last one ends beyond the values
        sizes = np.cumsum([0, *(len(png(image)) for image in pixels(3))]).astype("<i4").tobytes()
        place = bytes(content).find(sizes)
        assert place > 0
        content[place + 12 : place + 16] = struct.pack("<i", 2**30)
    elif damage == "length":
        content[4:8] = struct.pack("<i", 2**30)
    elif damage == "body":
        content = content[:-300]
    else:
        content = {"cut": content[:100], "empty": b"", "text": b"not an arrow file " * 9}[damage]
    path.write_bytes(content)
    with refused(place=str(path), problem=some("not readable as an Arrow file")):
        hf(tmp_path / "d").read(np.arange(4))


def test_a_random_access_file_is_read_by_its_messages(tmp_path):
    path = tmp_path / "d" / "x-test.arrow"
    path.parent.mkdir()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table())
    holds(hf(tmp_path / "d"))


def test_arrow_files_that_number_classes_otherwise_are_refused(tmp_path):
    arrow(tmp_path / "d" / "x-test-00000-of-00002.arrow")
    other = {"huggingface": METADATA["huggingface"].replace("emu", "yak")}
    path = arrow(tmp_path / "d" / "x-test-00001-of-00002.arrow", table(metadata=other))
    with refused(place=str(path), problem="other class names than the first file"):
        hf(tmp_path / "d")


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (pa.array([0, 1, None, 1]), "sample 2 has no label"),
        (pa.array([0, -1, 0, 1]), "label -1 is no class number"),
        (pa.array([0, 7, 0, 1]), "there are 3 classes"),
        (pa.array(["a", "b", "c", "d"]), "no class numbers"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, column, problem):
    made = table().set_column(1, "label", column).replace_schema_metadata(METADATA)
    arrow(tmp_path / "d" / "x-test.arrow", made)
    with refused(problem=some(problem)):
        hf(tmp_path / "d", label="label")


def test_pictures_are_looked_at_before_they_are_decoded(tmp_path):
    bomb = encoded(Image.new("L", (13000, 13000)))
    made = pa.table({"image": [{"bytes": bomb, "path": ""}, {"bytes": None, "path": "a.png"}], "label": [0, 1]})
    arrow(tmp_path / "d" / "x-test.arrow", made)
    data = hf(tmp_path / "d")
    with refused(place=some("sample 0"), found=some("13000x13000 pixels")):
        data.read(np.array([0]))
    with refused(place=some("sample 1"), problem="no bytes"):
        data.read(np.array([1]))


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "gone.arrow"])
def test_a_state_that_names_files_elsewhere_is_refused(tmp_path, name):
    arrow(tmp_path / "secret.arrow")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with refused(problem="a file of the data set is not there"):
        hf(tmp_path / "d")


# --- names on the hub ---------------------------------------------------------------------------------------------


def test_a_name_on_the_hub_is_pinned_by_its_commit(tmp_path):
    cached = tmp_path / "hf" / "hub" / "datasets--me--tiny" / "snapshots"
    for revision in (None, "main", "a" * 12):
        with refused(component="dataset 'hf:me/tiny'", place="revision", remedy="write revision: COMMIT"):
            hf(Path("me/tiny"), revision=revision)
    (cached / OTHER).mkdir(parents=True)
    with refused(remedy=some(OTHER)):
        hf(Path("me/tiny"))
    with refused(place="no/such/folder", problem="no such folder"):
        hf(Path("no/such/folder"))


def test_what_is_in_no_cache_is_fetched_only_if_it_is_asked_for_and_allowed(tmp_path, monkeypatch):
    with refused(component="dataset 'hf:me/tiny'", remedy=some("download: true")):
        hf(Path("me/tiny"), revision=COMMIT)
    monkeypatch.setattr("rbench.datasets.hf._fetch", lambda *given: pytest.fail("reached out"))
    for variable in ("RBENCH_OFFLINE", "HF_HUB_OFFLINE"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, "1")
            with refused(MissingError, problem=some(f"{variable}=1 forbids"), remedy=some(f"unset {variable}")):
                files(Path("me/tiny"), revision=COMMIT, download=True)


# --- what the library saves and resolves --------------------------------------------------------------------------


@pytest.fixture
def library(monkeypatch):
    """The datasets library, which may not reach out."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets", reason="needs rbench[hf]")


def made(library, count=4, seed=0):
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog", "emu"])})
    rows = {"image": [Image.fromarray(image) for image in pixels(count, seed)], "label": [n % 3 for n in range(count)]}
    return library.Dataset.from_dict(rows, features=features)


def test_what_the_library_saves_is_read(tmp_path, library):
    made(library, seed=1).save_to_disk(tmp_path / "one", num_shards=2)
    holds(hf(tmp_path / "one"), 1)
    both = library.DatasetDict({"train": made(library, seed=2), "test": made(library, seed=3)})
    both.save_to_disk(tmp_path / "both")
    holds(hf(tmp_path / "both", split="test"), 3)
    with refused(found="train, test", remedy="name one: split: NAME"):
        hf(tmp_path / "both")
    with refused(found="train, test", problem="no split 'val'"):
        hf(tmp_path / "both", split="val")
    assert [path.parent.name for path in files(tmp_path / "both", split="train")] == ["train"]


@pytest.mark.parametrize(
    "names",
    [
        ("data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"),
        ("test.parquet",),
        ("x/test/0000.parquet",),
    ],
    ids=len,
)
def test_parquet_files_are_found_by_their_names(tmp_path, library, names):
    for number, name in enumerate(names):
        parquet_file(tmp_path / "d" / name, table(4, number))
    parquet_file(tmp_path / "d" / names[0].replace("test", "train"), table(4, 9))
    data = hf(tmp_path / "d", split="test")
    assert len(data) == 4 * len(names)
    assert np.array_equal(data.read(np.arange(4)), floats(pixels(4)))
    assert [path.name for path in files(tmp_path / "d", split="test")] == [Path(name).name for name in names]
    with refused(problem="several splits"):
        hf(tmp_path / "d")


def test_configurations_are_those_of_the_readme(tmp_path, library):
    configs = "".join(
        f"- config_name: {one}\n  data_files:\n  - split: test\n    path: {one}/test-*\n" for one in ("small", "large")
    )
    for seed, name in enumerate(("small", "large")):
        parquet_file(tmp_path / "d" / name / "test-00000-of-00001.parquet", table(4, seed))
    (tmp_path / "d" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    holds(hf(tmp_path / "d", config="large"), 1)
    with refused(place=str(tmp_path / "d"), problem=some("no data set that can be told")):
        hf(tmp_path / "d")


def test_a_commit_in_the_hubs_cache_is_read_and_nothing_is_written_beside_it(tmp_path, library):
    cached = tmp_path / "hf" / "hub" / "datasets--me--tiny"
    blob = parquet_file(cached / "blobs" / "0123")
    for commit in (COMMIT, OTHER):
        link = cached / "snapshots" / commit / "data" / "test-00000-of-00001.parquet"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    before = sorted(tmp_path.rglob("*"))
    holds(hf(Path("me/tiny"), revision=COMMIT))
    holds(hf(cached, revision=OTHER))
    with refused(problem="several commits", remedy="name one: revision: COMMIT"):
        hf(cached)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_unpacks_to_gigabytes_is_refused_by_its_pages(tmp_path, library):
    white = pa.array([bytes(2**22)] * 20, pa.binary())
    path = tmp_path / "d" / "test.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"image": white, "label": [0] * 20}), path, compression="zstd", use_dictionary=False)
    with refused(place=str(path), problem="unpacks to more than data of its size can hold"):
        hf(tmp_path / "d")


def test_code_in_a_data_set_is_not_run_and_other_formats_are_refused(tmp_path, library):
    marker = tmp_path / "executed"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "d.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (tmp_path / "d" / "test.csv").write_text("image,label\n1,0\n")
    with refused(place=some(str(tmp_path / "d"))):
        hf(tmp_path / "d")
    (tmp_path / "d" / "d.py").unlink()
    with refused(place=str(tmp_path / "d"), problem="neither parquet nor Arrow files", found=".csv"):
        hf(tmp_path / "d")
    assert not marker.exists()


def test_a_download_without_network_says_so(tmp_path, library, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("datasets.load_dataset_builder", lambda *_, **__: (_ for _ in ()).throw(OSError("no route")))
    with refused(MissingError, place="the hub", problem=some("no route"), remedy=some("hf:FOLDER")):
        hf(Path("me/tiny"), revision=COMMIT, download=True)
