import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from parts import ANY, refused, some
from safetensors.torch import save_file
from small_runs import rbench as rbench_

import rbench
from rbench.backbones import autoattack as autoattack_module
from rbench.backbones.architectures import build
from rbench.backbones.architectures.normalised import Normalised
from rbench.backbones.autoattack import autoattack
from rbench.backbones.bundled import bundled
from rbench.backbones.file import file
from rbench.backbones.torchvision import files as torchvision_files
from rbench.backbones.torchvision import torchvision
from rbench.errors import InputError, MissingError
from rbench.signature import ParameterError

CIFAR10 = Path(os.environ.get("RBENCH_CIFAR10_PARQUET", "cifar10-test.parquet"))


def saved(path, architecture="fashion-cnn", classes=None, **changes):
    torch.manual_seed(0)
    state = {**build(architecture, classes).state_dict(), **changes}
    state = {name: tensor.contiguous() for name, tensor in state.items() if tensor is not None}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


def frozen(model):
    return not any(part.training for part in model.modules()) and not any(p.requires_grad for p in model.parameters())


def test_the_bundled_network_is_frozen_and_answers_plain_pixels():
    model = bundled("fashion-cnn")
    assert frozen(model)
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_the_network_of_autoattack_is_frozen_and_answers_plain_pixels():
    model = autoattack("cifar10-resnet18")
    assert frozen(model)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_our_resnet_computes_what_autoattacks_example_computes():
    path = autoattack_module.files("cifar10-resnet18")[0]
    namespace = {}
    exec(path.with_name("resnet.py").read_text(encoding="utf-8"), namespace)  # the file our own must agree with
    theirs = namespace["ResNet18"]().eval()
    theirs.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(autoattack("cifar10-resnet18")(x), theirs(x), atol=1e-5)


@pytest.mark.skipif(not CIFAR10.is_file(), reason="set RBENCH_CIFAR10_PARQUET to the CIFAR-10 test images")
def test_the_network_of_autoattack_knows_cifar10():
    from rbench.datasets.parquet import parquet

    data = parquet(CIFAR10)
    ids = np.random.default_rng(0).permutation(len(data))[:200]
    with torch.no_grad():
        logits = autoattack("cifar10-resnet18")(torch.from_numpy(data.read(ids)))
    assert float((logits.argmax(1).numpy() == data.labels[ids]).mean()) > 0.75


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("classes", [2, 10, 37])
def test_a_file_of_weights_is_loaded_with_its_own_number_of_classes(tmp_path, suffix, classes):
    model = file(saved(tmp_path / f"mine{suffix}", classes=classes), architecture="fashion-cnn")
    assert frozen(model)
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, classes)


def test_mean_and_std_are_applied_inside(tmp_path):
    path = saved(tmp_path / "mine.safetensors", "cifar-resnet18")
    plain = file(path, architecture="cifar-resnet18")
    wrapped = file(path, architecture="cifar-resnet18", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
    assert frozen(wrapped)
    x = torch.rand(2, 3, 32, 32)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.5]).view(3, 1, 1)
    assert torch.allclose(wrapped(x), plain((x - mean) / std))
    with pytest.raises(InputError, match="mean and std belong together"):
        file(path, architecture="cifar-resnet18", mean=(0.5, 0.4, 0.3))


def test_a_mean_of_other_channels_is_refused_instead_of_broadcast():
    model = Normalised(torch.nn.Identity(), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="images have 1 channels, the backbone's mean has 3"):
        model(torch.rand(2, 1, 4, 4))
    for std in ((1.0,), (1.0, 0.0, 1.0), (1.0, -1.0, 1.0)):
        with pytest.raises(InputError, match="one number per channel each, std above 0"):
            Normalised(torch.nn.Identity(), (0.5, 0.5, 0.5), std)


def test_checkpoints_of_training_scripts_are_unwrapped(tmp_path):
    path = tmp_path / "checkpoint.pt"
    state = {f"module.{name}": tensor for name, tensor in build("fashion-cnn").state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, path)
    assert frozen(file(path, architecture="fashion-cnn"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_torchvision_models_take_a_file_and_normalise_as_imagenet_does(tmp_path, suffix):
    path = saved(tmp_path / f"mine{suffix}", "torchvision:mobilenet_v3_small", 5)
    model = torchvision("mobilenet_v3_small", weights=str(path))
    assert frozen(model)
    assert isinstance(model, Normalised)
    assert torch.allclose(model.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert torchvision_files("mobilenet_v3_small", weights=str(path)) == [path]
    through_file = file(path, architecture="torchvision:mobilenet_v3_small")
    assert through_file(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_torchvision_names_are_checked_with_the_nearest(tmp_path):
    found = {"place": "name", "found": "'resnet81'", "problem": some("no such model")}
    with refused(ParameterError, **found, remedy=re.compile("^Close: .*resnet18")):
        torchvision("resnet81", weights="IMAGENET1K_V1")
    place, remedy = "torchvision:resnet18: weights", some("known: IMAGENET1K_V1, or a file")
    with refused(component="backbone 'torchvision:resnet18'", place=place, problem=some("'IMAGENET'"), remedy=remedy):
        torchvision("resnet18", weights="IMAGENET")


def test_named_weights_without_network_say_where_to_put_the_file(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    path = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"
    with refused(MissingError, problem=some("not in the cache"), remedy=some("download: true")):
        torchvision("resnet18", weights="IMAGENET1K_V1")
    with refused(MissingError, problem=some("could not be downloaded"), remedy=some(f"copy it to {path}")):
        torchvision("resnet18", weights="IMAGENET1K_V1", download=True)
    path.write_bytes(b"something else")
    found = re.compile("^sha256 starts with [0-9a-f]{8}$")
    with refused(place=str(path), found=found, problem=some("f37072fd"), remedy=some("delete it")):
        torchvision("resnet18", weights="IMAGENET1K_V1")


def test_an_architecture_is_a_name_of_a_fixed_set_and_never_code(tmp_path):
    path = saved(tmp_path / "mine.safetensors")
    for name in ("os.path:join", "rbench.backbones.file:file", "resnet18", ""):
        with refused(ParameterError, place="architecture", problem=some("no such network"), found=repr(name)) as error:
            file(path, architecture=name)
        assert re.search("efficientnet-lite0|fashion-cnn|cifar-resnet18", error.value.remedy)
    for name, near in (("resnet18", "'torchvision:resnet18'"), ("torchvision:resnet81", "resnet18")):
        with refused(ParameterError, place="architecture", problem=some("no such"), found=ANY, remedy=some(near)):
            file(path, architecture=name)


@pytest.mark.parametrize(
    ("backbone", "place"),
    [
        ("{name: file:mine.safetensors, architecture: resnet18}", "s.yaml:4:57: backbones[0].architecture"),
        (
            "{name: file:mine.safetensors, architecture: 'torchvision:resnet81'}",
            "s.yaml:4:57: backbones[0].architecture",
        ),
        ("{name: file:whole.pt, architecture: fashion-cnn}", "s.yaml:4:20: backbones[0].name"),
    ],
)
def test_a_plan_refuses_at_its_line_what_a_run_would(tmp_path, monkeypatch, capsys, backbone, place):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "mine.safetensors")
    torch.save(bundled("fashion-cnn"), "whole.pt")
    head = "suite: s\ndataset: {name: fashion-mnist-mini, samples: 8}\nthreat: {norm: Linf, eps: 0.1}\n"
    Path("s.yaml").write_text(f"{head}backbones: [{backbone}]\npurifiers: [identity]\nattacks: [noise]\n")
    assert rbench_("plan", "s.yaml") == 2
    assert capsys.readouterr().err.startswith(f"error: {place}: ")


def test_building_a_network_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    bundled("fashion-cnn")
    assert torch.equal(torch.rand(3), expected)


def test_a_backbone_is_loaded_on_the_cpu_whatever_the_default_device():
    torch.set_default_device("meta")
    try:
        model = bundled("fashion-cnn")
        assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    finally:
        torch.set_default_device(None)


def test_looking_up_backbones_and_datasets_does_not_import_torch():
    code = """
import sys, json
from pathlib import Path
from rbench.backbones import autoattack, bundled, file, torchvision
from rbench.datasets import fashion_mnist_mini, image_folder, npz, parquet, torchvision as data
found = bundled.files("fashion-cnn") + autoattack.files("cifar10-resnet18") + fashion_mnist_mini.files()
data_set = fashion_mnist_mini.fashion_mnist_mini()
print(json.dumps([str(p) for p in found]))
assert "torch" not in sys.modules and "torchvision" not in sys.modules
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(Path(path).is_file() for path in json.loads(answer.stdout))


def test_nothing_in_the_package_reads_a_pickle_in_full():
    sources = {path: path.read_text(encoding="utf-8") for path in Path(rbench.__file__).parent.rglob("*.py")}
    for path, text in sources.items():
        assert not re.search(r"weights_only\s*=\s*(?!True)", text.replace("`weights_only=True`", "")), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path
        assert not re.search(r"\bpickle\.(load|loads|Unpickler)\b", text), path
        assert not re.search(r"allow_pickle\s*=\s*True", text), path
