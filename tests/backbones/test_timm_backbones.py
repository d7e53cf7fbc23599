import pytest
import torch
from parts import refused, some
from safetensors.torch import save_file
from zoo import differentiable, frozen, hub_cache, images, repository, saved_timm  # noqa: F401 - a fixture

import rbench
from rbench.backbones.architectures.resized import Resized
from rbench.backbones.head import features_of, with_head
from rbench.backbones.timm import files, items
from rbench.engine.copies import own_copy
from rbench.errors import MissingError
from rbench.registry import bind
from rbench.signature import ParameterError

timm = pytest.importorskip("timm")
VIT = "vit_tiny_patch16_224"


def normalised(x, mean, std):
    return (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("classes", [10, 1000])
def test_a_model_of_timm_answers_plain_pixels_as_timm_does_normalised_ones(tmp_path, suffix, classes):
    path = tmp_path / "mine.safetensors"
    theirs = saved_timm(path, num_classes=classes)
    if suffix == ".pt":
        path = tmp_path / "mine.pt"
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, path)
    ours = rbench.load("backbone", "timm:test_resnet", checkpoint=str(path))
    cfg, x = theirs.pretrained_cfg, images(2)
    assert frozen(ours)
    assert own_copy(ours) is not None
    assert torch.allclose(ours(x), theirs(normalised(x, cfg["mean"], cfg["std"])), atol=1e-5)
    assert differentiable(ours)
    assert files("test_resnet", checkpoint=path) == [path]


def test_mean_and_std_of_the_user_replace_those_of_timm(tmp_path):
    theirs = saved_timm(tmp_path / "mine.safetensors", num_classes=4)
    given = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.5]}
    ours = rbench.load("backbone", "timm:test_resnet", checkpoint=str(tmp_path / "mine.safetensors"), **given)
    assert torch.allclose(ours(images(2)), theirs(normalised(images(2), *given.values())), atol=1e-5)


@pytest.mark.parametrize("size", [48, "own"])
def test_images_are_resized_inside_if_that_is_asked(tmp_path, size):
    path = tmp_path / "mine.safetensors"
    theirs = saved_timm(path, num_classes=4)
    ours, cfg = rbench.load("backbone", "timm:test_resnet", checkpoint=str(path), size=size), theirs.pretrained_cfg
    side = cfg["input_size"][1] if size == "own" else size
    grown = Resized(side, cfg["interpolation"])(normalised(images(2), cfg["mean"], cfg["std"]))
    assert grown.shape[2:] == (side, side)
    assert torch.allclose(ours(images(2)), theirs(grown), atol=1e-4)
    assert differentiable(ours)


def test_a_network_of_one_size_refuses_another_and_is_made_for_one_that_is_asked(tmp_path):
    path = tmp_path / "vit.safetensors"
    theirs = saved_timm(path, VIT, num_classes=3)
    fixed = rbench.load("backbone", f"timm:{VIT}", checkpoint=str(path))
    with refused(place="backbone", problem=some("224x224"), found="32x32", remedy=some("size: own")):
        fixed(images(1))
    for size in ("own", 32):
        assert differentiable(rbench.load("backbone", f"timm:{VIT}", checkpoint=str(path), size=size))
    small = rbench.load("backbone", f"timm:{VIT}", checkpoint=str(path), size=32)
    assert small(images(2, 64)).shape == (2, 3)
    kept = dict(small.named_parameters())
    ours = next(value for name, value in kept.items() if name.endswith("head.weight"))
    assert torch.equal(ours, theirs.head.weight)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_features_are_no_classes_until_a_head_is_put_on_them(tmp_path, name):
    theirs, x = saved_timm(tmp_path / "mine.safetensors", name, num_classes=0), images(2, 64)
    ours = rbench.load("backbone", f"timm:{name}", checkpoint=str(tmp_path / "mine.safetensors"))
    with refused(place="backbone", problem=some("features, no classes"), remedy=some("head: FILE")):
        ours(x)
    cfg = theirs.pretrained_cfg
    features = theirs(normalised(x, cfg["mean"], cfg["std"]))
    assert torch.allclose(features_of(ours)(x), features, atol=1e-5)
    head = {"weight": torch.rand(3, features.shape[1]), "bias": torch.rand(3)}
    save_file(head, tmp_path / "head.safetensors")
    whole = with_head(ours, tmp_path / "head.safetensors")
    assert torch.allclose(whole(x), features @ head["weight"].T + head["bias"], atol=1e-4)
    assert differentiable(whole, 64)


def test_published_weights_are_read_from_the_cache_and_never_fetched_unasked(hub_cache):  # noqa: F811
    name = timm.get_pretrained_cfg("test_resnet").hf_hub_id
    with refused(
        MissingError,
        component=some("timm:test_resnet"),
        problem=some("not in the cache"),
        remedy=some("download: true"),
    ):
        files("test_resnet", pretrained=True)
    folder = repository(hub_cache, name)
    theirs = saved_timm(folder / "model.safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert files("test_resnet", pretrained=True) == [folder / "model.safetensors"]
    ours, cfg = rbench.load("backbone", "timm:test_resnet", pretrained=True), theirs.pretrained_cfg
    assert torch.allclose(ours(images(2)), theirs(normalised(images(2), cfg["mean"], cfg["std"])), atol=1e-5)


def test_a_download_that_is_asked_for_and_fails_is_one_line(hub_cache):  # noqa: F811
    with refused(MissingError, component=some("timm:test_resnet"), problem=some("could not be downloaded")):
        files("test_resnet", pretrained=True, download=True)


@pytest.mark.parametrize("given", [{}, {"checkpoint": "x.pt", "pretrained": True}])
def test_weights_are_named_once(given):
    with refused(place="timm:test_resnet", problem=some("weights"), remedy=some("pretrained: true")):
        bind("backbone", "timm:test_resnet", given).files()


def test_weights_of_another_network_are_told_by_name(tmp_path):
    saved_timm(tmp_path / "mine.safetensors")
    with refused(place=str(tmp_path / "mine.safetensors"), problem=some("does not fit timm's 'test_convnext'")):
        rbench.load("backbone", "timm:test_convnext", checkpoint=str(tmp_path / "mine.safetensors"))


def test_the_names_in_the_source_text_are_those_that_timm_registers():
    # RobustBench's zoo registers models of its own with timm where it was imported.
    known = {name for name in timm.list_models() if timm.model_entrypoint(name).__module__.startswith("timm.")}
    written = set(items())
    assert known <= written
    tags = {name for name in timm.list_models(include_tags=True) if "." in name and name.partition(".")[0] in known}
    assert len(tags - written) < len(tags) / 20


def test_an_unknown_name_is_refused_with_the_nearest():
    with refused(
        ParameterError,
        remedy=some("Close: timm:resnet18"),
        component="backbone 'timm:resnet18x'",
        place=some("timm:resnet18x"),
    ):
        rbench.load("backbone", "timm:resnet18x", pretrained=True)
    with refused(ParameterError, problem=some("resnet18.nobody"), remedy=some("Close: timm:resnet18")):
        rbench.load("backbone", "timm:resnet18.nobody", pretrained=True)
