import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from costs import allocated, times_as_long
from safetensors.torch import save_file

from rbench.backbones.architectures import build
from rbench.backbones.weights import load, read
from rbench.errors import InputError


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {name: tensor.contiguous() for name, tensor in build("fashion-cnn").state_dict().items()}


def refused(path, message):
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_pickle_with_code_is_refused_and_nothing_is_executed(tmp_path):
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (marker.write_text, ("boom",))

    zipped, legacy, bare = tmp_path / "zipped.pt", tmp_path / "legacy.pt", tmp_path / "bare.pt"
    torch.save({"weight": Bomb()}, zipped)
    torch.save({"weight": Bomb()}, legacy, _use_new_zipfile_serialization=False)
    bare.write_bytes(pickle.dumps(Bomb(), protocol=2))
    for path in (zipped, legacy, bare):
        refused(path, "refused, holds more than tensors .*nothing was executed.*safetensors")
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint .found 0 bytes"),
        (b"<!DOCTYPE html><html>Not found</html>", "not a checkpoint .found HTML"),
        (b"PK\x03\x04 and nothing more", "not a checkpoint .truncated"),
        (b"hello, this is a text file, not weights", "not a checkpoint|refused"),
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, suffix, content, message):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    refused(path, message)


def test_a_safetensors_header_that_starts_like_html_is_no_html(tmp_path):
    path = tmp_path / "weights.safetensors"
    text = (
        json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, separators=(",", ":"))
        .ljust(60)
        .encode()
    )
    path.write_bytes(struct.pack("<Q", 60) + text + bytes(4))
    assert len(text) == 60
    assert read(path)["a"].tolist() == [0.0]


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "missing.pt", "no such file")
    refused(tmp_path, "a folder")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_cut_anywhere_is_refused(tmp_path, state, suffix):
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    content = path.read_bytes()
    for end in np.linspace(1, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:end])
        refused(path, "not a checkpoint|refused")


def test_nan_and_infinite_weights_are_refused_by_name(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    for value in (torch.nan, torch.inf):
        broken = {**state, "head.1.bias": state["head.1.bias"].clone()}
        broken["head.1.bias"][3] = value
        save_file(broken, path)
        refused(path, r"head\.1\.bias has NaN or infinite values")


def test_wrong_keys_are_listed_five_of_each_kind(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    other = {f"odd.{i}": torch.zeros(1) for i in range(7)}
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("features")}
    save_file({**kept, **other, "head.1.bias": torch.zeros(3)}, path)
    with pytest.raises(InputError) as error:
        load(path, "fashion-cnn")
    text = str(error.value)
    assert "does not fit architecture 'fashion-cnn'" in text
    assert "missing: features.0.weight, features.1.weight," in text
    assert "unexpected: odd.0, odd.1, odd.2, odd.3, odd.4 and 2 more" in text
    assert "wrong shape: head.1.bias (3,) instead of (64,)" in text


def test_what_holds_no_tensors_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    for content, message in (
        ([torch.zeros(1)], "holds list, expected tensors by name"),
        ({}, "holds dict, expected tensors"),
        ({"epoch": 3}, "entry 'epoch' is int, expected a tensor"),
    ):
        torch.save(content, path)
        refused(path, message)


def header(entries, size=None):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 100 * 2**20) + b" " * 1000,
        struct.pack("<Q", 2**63) + b"{}",
        header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}) + bytes(4),
        header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}) + bytes(4),
        header({k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in "ab"}) + bytes(4),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}) + bytes(8),
        header({"a": {"dtype": "X99", "shape": [1], "data_offsets": [0, 4]}}) + bytes(4),
        header({f"{i:06}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(100_000)})
        + bytes(100_000),
    ],
    ids=["header-100MB", "header-2^63", "overflow", "negative", "overlap", "gap", "dtype", "1e5-entries"],
)
def test_a_malicious_safetensors_header_is_refused_as_fast_as_an_honest_file_of_its_size_is_read(tmp_path, content):
    path, honest = tmp_path / "weights.safetensors", tmp_path / "honest.safetensors"
    path.write_bytes(content)
    save_file({"a": torch.zeros(max(1, len(content) // 4))}, honest)
    assert times_as_long(lambda: refused(path, "not a checkpoint|header of"), lambda: read(honest)) < 5


def test_a_zip_that_grows_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * 2**20))
    assert allocated(lambda: refused(path, r"a compressed zip that grows to \d+ bytes")) < 2**20
