import pytest
import torch
from parts import ANY, refused, some
from safetensors.torch import save_file
from torch import nn

import rbench
from rbench.backbones.architectures import build
from rbench.backbones.autoattack import autoattack
from rbench.backbones.bundled import bundled
from rbench.backbones.head import features_of, load_backbone, with_head


def images(n=3, channels=1, side=28):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0))


def saved(path, weight, bias, **more):
    save_file({"weight": weight.contiguous(), "bias": bias.contiguous(), **more}, path)
    return path


@pytest.fixture
def head(tmp_path):
    """A random head of three classes for 64 features."""
    draw = torch.Generator().manual_seed(1)
    return saved(tmp_path / "mine.safetensors", torch.randn(3, 64, generator=draw), torch.randn(3, generator=draw))


class Late(nn.Module):
    """Registers its answering layer before a hidden one."""

    def __init__(self, hidden):
        super().__init__()
        self.answer = nn.Linear(hidden, 5)
        self.hidden = nn.Linear(28 * 28, hidden)

    def forward(self, x):
        return self.answer(self.hidden(x.flatten(1)))


@pytest.mark.parametrize(
    ("backbone", "x"), [(bundled("fashion-cnn"), images()), (autoattack("cifar10-resnet18"), images(2, 3, 32))]
)
def test_a_backbones_own_last_layer_as_head_gives_its_own_logits(tmp_path, backbone, x):
    state = list(backbone.state_dict().values())
    whole = with_head(backbone, saved(tmp_path / "own.safetensors", state[-2], state[-1]))
    assert torch.equal(whole(x), backbone(x))


def test_logits_are_the_heads_linear_function_of_the_features(tmp_path):
    backbone, x = bundled("fashion-cnn"), images()
    draw = torch.Generator().manual_seed(2)
    weight, bias = torch.randn(4, 64, generator=draw), torch.randn(4, generator=draw)
    whole = with_head(backbone, saved(tmp_path / "mine.safetensors", weight, bias))
    assert torch.allclose(whole(x), features_of(backbone)(x) @ weight.T + bias, atol=1e-6)


def test_features_are_what_the_last_layer_is_given():
    backbone, seen = bundled("fashion-cnn"), []
    backbone.head[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone(images())
    features = features_of(bundled("fashion-cnn"))
    assert features.width == 64
    assert torch.equal(features(images()), seen[0])
    assert torch.equal(features(images()), features(images()))


def test_features_have_a_gradient_in_the_images_and_in_nothing_else():
    features, x = features_of(bundled("fashion-cnn")), images().requires_grad_()
    features(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_the_backbone_itself_is_left_as_it_is(head):
    backbone = build("fashion-cnn").train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    whole = with_head(backbone, head)
    assert backbone.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert isinstance(backbone.head[3], nn.Linear)
    whole.to(torch.float64)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert not any(part.training for part in whole.modules())
    assert not any(parameter.requires_grad for parameter in whole.parameters())


def test_a_head_follows_the_precision_of_the_backbone(tmp_path):
    path = saved(tmp_path / "half.safetensors", torch.ones(2, 64, dtype=torch.float16), torch.zeros(2))
    assert with_head(bundled("fashion-cnn"), path)(images()).dtype == torch.float32
    assert with_head(bundled("fashion-cnn").double(), path)(images().double()).dtype == torch.float64


def test_the_global_generator_is_left_alone(head):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_backbone("bundled:fashion-cnn", {"head": str(head)})
    assert torch.equal(torch.rand(3), expected)


def test_a_head_is_loaded_on_the_cpu_whatever_the_default_device(head):
    torch.set_default_device("meta")
    try:
        whole = load_backbone("bundled:fashion-cnn", {"head": str(head)})
    finally:
        torch.set_default_device(None)
    assert {tensor.device.type for tensor in whole.state_dict().values()} == {"cpu"}


def test_a_backbone_is_loaded_with_a_head_wherever_backbones_are_loaded(head):
    whole = with_head(bundled("fashion-cnn"), head)(images())
    assert whole.shape == (3, 3)
    assert torch.equal(load_backbone("bundled:fashion-cnn", {"head": str(head)})(images()), whole)
    assert torch.equal(rbench.load("backbone", "bundled:fashion-cnn", head=head)(images()), whole)
    assert torch.equal(rbench.load("backbone", "bundled:fashion-cnn", {"head": str(head)})(images()), whole)
    plain = bundled("fashion-cnn")(images())
    for params in (None, {}, {"head": None}):
        assert torch.equal(load_backbone("bundled:fashion-cnn", params)(images()), plain)


@pytest.mark.parametrize(
    ("state", "found", "problem"),
    [
        ({"weight": torch.zeros(3, 63), "bias": torch.zeros(3)}, "a head for 63 features", "head.3 of the backbone takes 64"),
        ({"weight": torch.zeros(3, 64)}, "weight (3, 64)", "weight (classes, features)"),
        ({"weight": torch.zeros(3, 64), "bias": torch.zeros(2)}, "bias (2,), weight (3, 64)", "expected a head"),
        ({"weight": torch.zeros(64), "bias": torch.zeros(64)}, "bias (64,), weight (64,)", "expected a head"),
        ({"weight": torch.zeros(1, 64), "bias": torch.zeros(1)}, "bias (1,), weight (1, 64)", "expected a head"),
        ({"weight": torch.zeros(3, 64, dtype=torch.int64), "bias": torch.zeros(3)}, ANY, "expected a head"),
        ({"weight": torch.zeros(3, 64), "bias": torch.zeros(3), "mean": torch.zeros(3)}, ANY, "expected a head"),
        ({f"layer{i}": torch.zeros(1) for i in range(5)}, some("and 2 more"), "expected a head"),
        ({"weight": torch.full((3, 64), torch.nan), "bias": torch.zeros(3)}, None, "weight has NaN or infinite values"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_head_for_this_backbone_is_refused(tmp_path, state, found, problem):
    path = tmp_path / "mine.safetensors"
    save_file(state, path)
    with refused(place=str(path), found=found, problem=some(problem)):
        with_head(bundled("fashion-cnn"), path)


def test_bundled_heads_are_found_by_name_and_others_are_listed():
    with refused(place=some("assets/fashion-cnn.safetensors"), found=some("features")):
        with_head(bundled("fashion-cnn"), "bundled:fashion-cnn")
    with refused(place="bundled:nothing", remedy=some("bundled:fashion-cnn")):
        with_head(bundled("fashion-cnn"), "bundled:nothing")


def test_a_backbone_without_a_linear_layer_takes_no_head(head):
    with refused(place="backbone", found="Conv2d", problem=some("no linear layer")):
        with_head(nn.Conv2d(1, 3, 3), head)


def test_a_plug_in_that_gives_no_module_takes_no_head(plugins, head):
    plugins.add_parts()
    with refused(component="backbone 'net:small'", found="tuple", problem=some("no torch.nn.Module")):
        load_backbone("net:small", {"head": str(head)})


def test_a_last_layer_that_does_not_answer_is_noticed():
    with refused(place="backbone", found="(3, 5)", problem=some("hidden is not what answers")):
        features_of(Late(28 * 28))(images())


def test_a_head_takes_the_input_of_the_layer_that_its_header_names(tmp_path):
    backbone, x = bundled("fashion-cnn"), images()
    draw = torch.Generator().manual_seed(2)
    weight, bias = torch.randn(4, 32 * 7 * 7, generator=draw), torch.randn(4, generator=draw)
    path = tmp_path / "conv.safetensors"
    save_file({"weight": weight, "bias": bias}, path, metadata={"layer": "head.1"})
    convolutions = backbone.features((x - 0.2860) / 0.3530).flatten(1)
    assert torch.equal(features_of(backbone, "head.1")(x), convolutions)
    assert torch.allclose(with_head(backbone, path)(x), convolutions @ weight.T + bias, atol=1e-5)


def test_features_of_a_named_layer_pass_gradients_and_leave_the_backbone_as_it_is():
    backbone, x = bundled("fashion-cnn"), images().requires_grad_()
    before = backbone(x.detach())
    features_of(backbone, "head.1")(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert torch.equal(backbone(x.detach()), before)


def test_a_layer_that_is_not_there_is_refused_with_those_that_are():
    with refused(place="layer", problem=some("'features'"), remedy="the last ones are head.1, head.3"):
        features_of(bundled("fashion-cnn"), "features")
