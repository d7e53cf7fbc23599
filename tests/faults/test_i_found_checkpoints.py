"""Rows 118 to 120 of the faults: what was found in files of weights by trying."""

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from checkpoints import OTHER, STATE, SUFFIXES, behind, saved
from parts import refused, some
from torch import nn
from torchvision.models.densenet import DenseNet
from torchvision.models.mnasnet import MNASNet
from torchvision.models.vision_transformer import VisionTransformer

from rbench.backbones import torchvision as sources
from rbench.backbones import weights as rbench_weights
from rbench.backbones.architectures import build
from rbench.backbones.weights import fill, fitted, load, read
from rbench.backbones.weights.entries import State
from rbench.errors import InputError
from rbench.first_look import look
from rbench.running.components import Components
from rbench.suite.load import load_suite
from rbench.suite.plan import plan


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".pth.tar", ".ckpt", ".bin"])
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        behind("module."),
        behind("_orig_mod."),
        behind("model."),
        behind("_orig_mod.module.model."),
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {0: {"exp_avg": torch.zeros(4, 4)}}, "param_groups": [{"lr": 0.1}]}},
        {"net": behind("module."), "acc": 93.1},
        {"model_state_dict": STATE, "loss": torch.tensor(0.3)},
        {"ema": behind("module.")},
        {"checkpoint": {"state_dict": behind("model.")}},
    ],
    ids=["bare", "module", "_orig_mod", "model", "three", "state_dict", "optimizer", "net", "loss", "ema", "two-maps"],
)
def test_118_containers_and_prefixes_are_understood(linear, content, suffix):
    if suffix == ".safetensors" and set(content) & {"optimizer", "loss"}:
        pytest.skip("no training state is kept in safetensors")
    network = load(saved(Path(f"w{suffix}"), content), "tiny")
    assert all(torch.equal(tensor, STATE[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("content", "entries"),
    [
        ({"state_dict": STATE, "state_dict_ema": OTHER}, ("state_dict", "state_dict_ema")),
        ({"model": behind("module."), "ema": behind("module.", OTHER)}, ("model.module", "ema.module")),
        ({**behind("online_model."), **behind("ema_model.", OTHER)}, ("online_model", "ema_model")),
        ({**STATE, "ema": OTHER}, (".", "ema")),
        ({"state_dict": STATE, "callbacks": {"EMA": {"weights": OTHER}}}, ("state_dict", "callbacks.EMA.weights")),
    ],
)
def test_118_several_state_dicts_are_asked_about_by_name(linear, content, entries, suffix):
    path = saved(Path(f"w{suffix}"), content)
    with refused(place=str(path), remedy=some("entry: ")) as caught:
        load(path, "tiny")
    assert all(repr(entry) in str(caught.value) for entry in entries), caught.value
    for entry, state in zip(entries, (STATE, OTHER), strict=True):
        network = load(path, "tiny", entry=entry)
        assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    with refused(place=str(path), problem=some("'nope'")):
        load(path, "tiny", entry="nope")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_118_what_is_beside_a_prefix_is_told_and_left_out_only_when_asked(linear, suffix):
    path = saved(Path(f"w{suffix}"), {**behind("model."), "criterion.weight": torch.ones(3)})
    with refused(problem=some("unexpected: criterion.weight"), remedy=some("entry: model")):
        load(path, "tiny")
    assert torch.equal(load(path, "tiny", entry="model")[1].bias, STATE["1.bias"])


def test_118_the_suite_says_which_entry(linear):
    saved(Path("w.pt"), {"state_dict": STATE, "state_dict_ema": OTHER})
    Path("s.yaml").write_text(
        "suite: e\ndataset: {name: fashion-mnist-mini, samples: 2}\nthreat: {norm: Linf, eps: 0.1}\nattacks: [fgsm]\n"
        "backbones: [{name: 'file:w.pt', architecture: tiny, entry: state_dict_ema}]\n"
    )
    (cell,) = plan(load_suite("s.yaml")).cells
    assert cell.backbone.params["entry"] == "state_dict_ema"
    model = Components(torch.device("cpu")).defended(cell.backbone, cell.purifier)
    assert torch.equal(model.backbone[1].bias, OTHER["1.bias"])


def older(network):
    """A published state dict of torchvision: names of before, and no counters of batch norm."""
    state = network.state_dict()
    renamed = {}
    for name, tensor in state.items():
        for new, old in (("norm1.", "norm.1."), ("norm2.", "norm.2."), ("conv1.", "conv.1."), ("conv2.", "conv.2.")):
            if "denselayer" in name:
                name = name.replace(new, old)
        name = name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2.")
        if not name.endswith("num_batches_tracked"):
            renamed[name] = tensor
    return renamed


def vit():
    return VisionTransformer(
        image_size=4, patch_size=2, num_layers=1, num_heads=1, hidden_dim=4, mlp_dim=4, num_classes=3
    )


MADE = {
    "densenet121": lambda: DenseNet(growth_rate=2, block_config=(1, 1), num_init_features=4, bn_size=1, num_classes=3),
    "vit_b_16": vit,
    "resnet18": lambda: nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", MADE)
def test_119_published_names_load_by_torchvisions_own_renames(tmp_path, monkeypatch, name, suffix, prefix):
    torch.manual_seed(0)
    source = MADE[name]()
    monkeypatch.setattr(fitted, "build", lambda architecture, classes=None: MADE[name]())
    path = saved(tmp_path / f"w{suffix}", behind(prefix, older(source)))
    network = load(path, f"torchvision:{name}")
    counted = [key for key in source.state_dict() if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(network.state_dict()[key], source.state_dict()[key]) for key in counted)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("version", [1, 2, None])
def test_119_a_mnasnet_of_either_format_loads(version):
    torch.manual_seed(0)
    source, network = MNASNet(0.5, num_classes=2), MNASNet(0.5, num_classes=2)
    if version == 1:  # its stem was of another width
        with pytest.warns(UserWarning, match="new version of MNASNet"):
            source._load_from_state_dict({}, "", {"version": 1}, False, [], [], [])
    state = source.state_dict()
    versions = {} if version is None else {"": {"version": version}}
    fill(network, State(dict(state), versions), Path("w.pt"), "architecture 'mnasnet0_5'")
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_119_the_versions_in_a_file_reach_the_network(tmp_path, monkeypatch):
    seen = []
    network = MNASNet(0.5, num_classes=2)
    real = MNASNet._load_from_state_dict

    def spy(self, state, prefix, metadata, *rest):
        seen.append(metadata.get("version"))
        return real(self, state, prefix, metadata, *rest)

    monkeypatch.setattr(MNASNet, "_load_from_state_dict", spy)
    monkeypatch.setattr(fitted, "build", lambda architecture, classes=None: MNASNet(0.5, num_classes=2))
    torch.save({"state_dict": nn.DataParallel(network).state_dict()}, tmp_path / "w.pt")
    load(tmp_path / "w.pt", "torchvision:mnasnet0_5")
    assert seen == [2]


@pytest.mark.soak
@pytest.mark.parametrize("name", ["densenet121", "vit_b_16", "mnasnet0_5", "resnet18"])
def test_119_the_real_networks_load_from_the_names_that_were_published(tmp_path, name):
    torch.manual_seed(0)
    source = build(f"torchvision:{name}")
    for suffix in SUFFIXES:
        network = load(saved(tmp_path / f"w{suffix}", older(source)), f"torchvision:{name}")
        counted = [key for key in source.state_dict() if not key.endswith("num_batches_tracked")]
        assert all(torch.equal(network.state_dict()[key], source.state_dict()[key]) for key in counted)


class Switched(nn.Module):
    transform_input = False


def test_119_the_networks_with_other_means_inside_get_torchvisions_switch_with_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "files", lambda name, **_: [tmp_path / "w.pth"])
    monkeypatch.setattr(rbench_weights, "load", lambda *_: Switched())
    assert sources.torchvision("googlenet", weights="IMAGENET1K_V1").network.transform_input is True
    assert sources.torchvision("googlenet", weights="w.pth").network.transform_input is False
    with refused(problem="mean and std belong together"):
        sources.torchvision("googlenet", weights="w.pth", mean=(0.5,))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 44700000\n"


def tarred():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("w"), io.BytesIO(b""))
    return made.getvalue()


def zipped(*names):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return made.getvalue()


FILES = {
    "a git-lfs pointer": POINTER,
    "gzip": gzip.compress(b"weights"),
    "xz": lzma.compress(b"weights"),
    "JSON": json.dumps({"error": "Invalid credentials"}).encode(),
    "HTML": b"\n <!DOCTYPE html><html>Not found</html>",
    "XML": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    ".npy": b"\x93NUMPY\x01\0" + bytes(100),
    "a tar archive": tarred(),
    ".npz": zipped("a.npy"),
    "TorchScript": zipped("w/data.pkl", "w/constants.pkl", "w/code/__torch__.py"),
    "a zip that torch.save did not write": zipped("word/document.xml"),
}


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt"])
@pytest.mark.parametrize("name", FILES)
def test_120_another_file_is_named_for_what_it_is(tmp_path, name, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(FILES[name])
    with refused(place=str(path), found=some(name)) as caught:
        look(path)
    assert caught.value.remedy
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", ["a git-lfs pointer", "gzip", "JSON", "HTML", "XML"])
def test_120_the_same_as_safetensors(tmp_path, name):
    path = tmp_path / "w.safetensors"
    path.write_bytes(FILES[name])
    with refused(place=str(path), found=some(name)):
        look(path)


def test_120_no_file_makes_rbench_repeat_what_a_library_advises(tmp_path):
    """Every byte of a small file cut or changed: never a word of reading it unsafely, never more than one line."""
    path = tmp_path / "w.pt"
    for zipped_ in (True, False):
        torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=zipped_)
        whole = path.read_bytes()
        for at in range(0, len(whole), 29):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
            try:
                read(path)
            except InputError as error:
                text = str(error)
                assert "\n" not in text, text
                assert not any(
                    word in text.lower() for word in ("weights_only", "trust", "unsafe", "add_safe_globals")
                ), text


def test_120_a_file_is_looked_at_before_it_is_hashed(tmp_path, monkeypatch):
    real = hashlib.file_digest

    def digest(file, name):
        assert not file.name.startswith(str(tmp_path)), "it was hashed"
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    for name, size in (("w.pt", 20 * 2**30), ("v.safetensors", 3 * 2**30)):
        path = tmp_path / name
        with path.open("wb") as file:
            if name.startswith("v"):
                text = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
                file.write(len(text).to_bytes(8, "little") + text)
                size += 8 + len(text)
            file.truncate(size)
        suite = tmp_path / "s.yaml"
        suite.write_text(
            "suite: big\ndataset: {name: fashion-mnist-mini, samples: 2}\nthreat: {norm: Linf, eps: 0.1}\nattacks: [fgsm]\n"
            f"backbones: [{{name: 'file:{path}', architecture: fashion-cnn}}]\n"
        )
        with refused(place=some(str(path)), text=some("bytes")):
            plan(load_suite(suite))
        with refused(place=str(path)):
            sources.files("resnet18", weights=str(path))
