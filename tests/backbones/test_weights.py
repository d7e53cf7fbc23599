import json
import pickle
import re
import struct
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import parts
import pytest
import torch
from costs import allocated, times_as_long
from parts import some
from safetensors.torch import save_file

from rbench.backbones.architectures import build
from rbench.backbones.weights import SAFE_TORCH, load, read
from rbench.errors import InputError, MissingError
from rbench.fit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from rbench.purifiers.noise_network import noise_network

NO_CHECKPOINT = re.compile("^(not a checkpoint|refused)")


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {name: tensor.contiguous() for name, tensor in build("fashion-cnn").state_dict().items()}


def refused(path, **wanted):
    with parts.refused(**{"place": str(path), **wanted}):
        read(path)


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
        refused(path, problem=some("nothing was executed"), remedy=some("safetensors"))
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 bytes"),
        (b"<!DOCTYPE html><html>Not found</html>", "HTML"),
        (b"PK\x03\x04 and nothing more", {".pt": "truncated zip", ".safetensors": "21 bytes"}),
        (b"hello, this is a text file, not weights", {".pt": None, ".safetensors": "39 bytes"}),
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, suffix, content, found):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    refused(path, found=found[suffix] if isinstance(found, dict) else found, problem=NO_CHECKPOINT)


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
    refused(tmp_path / "missing.pt", problem="no such file", remedy="give a .safetensors or .pt file")
    refused(tmp_path, problem="a folder", remedy="give a .safetensors or .pt file")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_cut_anywhere_is_refused(tmp_path, state, suffix):
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    content = path.read_bytes()
    for end in np.linspace(1, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:end])
        refused(path, problem=NO_CHECKPOINT)


def test_nan_and_infinite_weights_are_refused_by_name(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    for value in (torch.nan, torch.inf):
        broken = {**state, "head.1.bias": state["head.1.bias"].clone()}
        broken["head.1.bias"][3] = value
        save_file(broken, path)
        refused(path, problem=some("head.1.bias has NaN or infinite values"), remedy=some("again"))


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
    for content, place, found in (
        ([torch.zeros(1)], "", "list"),
        ({}, "", "dict"),
        ({"epoch": 3}, ": entry 'epoch'", "int"),
    ):
        torch.save(content, path)
        refused(path, place=f"{path}{place}", found=found, problem=some("expected"))


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
    wanted = {"problem": re.compile("not a checkpoint|header of"), "remedy": "download it again"}
    assert times_as_long(lambda: refused(path, **wanted), lambda: read(honest)) < 5


def test_a_zip_that_grows_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * 2**20))
    found = f"a compressed zip that grows to {50 * 2**20} bytes"
    assert allocated(lambda: refused(path, found=found)) < 2**20


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ("2.6.0", False),
        ("2.9.1+cu128", False),
        ("2.10.0a0+b4e4ee81d3.nv25.12", False),
        ("2.10.0.dev20251103+cpu", False),
        ("2.10.0rc2", False),
        ("a build of my own", False),
        ("2.10", True),
        ("2.10.0", True),
        ("2.10.0+cu130", True),
        ("2.10.1.post1", True),
        ("2.11.0.dev20260201", True),
        ("2.14.1", True),
        ("3.0.0a0", True),
    ],
)
def test_a_pickle_is_read_only_by_a_torch_that_cannot_be_made_to_execute_it(
    tmp_path, state, monkeypatch, version, safe
):
    pickled = tmp_path / "weights.pt"
    torch.save(state, pickled)
    monkeypatch.setattr(torch, "__version__", version)
    if safe:
        assert read(pickled).keys() == state.keys()
        return
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    remedy = some("pip install 'torch>=2.10', or convert the file to safetensors")
    with parts.refused(
        MissingError, place=str(pickled), problem=some("CVE-2026-24747"), found=f"torch {version}", remedy=remedy
    ) as caught:
        read(pickled)
    assert caught.value.exit_code == 3


def test_safetensors_are_read_by_any_torch(tmp_path, state, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    assert read(path).keys() == state.keys()


def test_other_pickles_need_that_torch_too(tmp_path, monkeypatch):
    checkpoint, folder = tmp_path / "a.checkpoint.pt", tmp_path / "ddpm"
    write_checkpoint(checkpoint, Checkpoint("f", 1, {}, {}, {}, [], 0.0))
    folder.mkdir()
    for name in ("config.json", "scheduler_config.json", "diffusion_pytorch_model.bin"):
        (folder / name).write_text("{}")
    assert read_checkpoint(checkpoint, "f").step == 1
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with parts.refused(MissingError, place=str(checkpoint), found="torch 2.9.1"):
        read_checkpoint(checkpoint, "f")
    with parts.refused(MissingError, place=str(folder / "diffusion_pytorch_model.bin"), found="torch 2.9.1"):
        noise_network(f"diffusers:{folder}")


def test_the_package_asks_for_the_torch_that_it_needs():
    asked = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"torch>={'.'.join(map(str, SAFE_TORCH))}" in asked
