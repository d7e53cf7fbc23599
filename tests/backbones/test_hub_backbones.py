import json

import pytest
import torch
from parts import refused, some
from safetensors.torch import save_file
from zoo import COMMIT, frozen, hub_cache, images, repository, saved_timm, saved_vit  # noqa: F401 - a fixture

import rbench
from rbench.backbones.architectures import build
from rbench.backbones.hub import about, files
from rbench.errors import InputError, MissingError

pytest.importorskip("huggingface_hub")
NAME = "hub:someone/net"


def saved(folder, architecture="cifar-resnet18"):
    torch.manual_seed(0)
    network = build(architecture, 4)
    save_file(network.state_dict(), folder / "model.safetensors")
    return network.eval()


def test_a_network_that_rbench_knows_gets_the_weights_of_a_commit(hub_cache):  # noqa: F811
    theirs = saved(repository(hub_cache, "someone/net"))
    ours = rbench.load("backbone", NAME, revision=COMMIT, architecture="cifar-resnet18")
    assert frozen(ours)
    assert torch.allclose(ours(images(2)), theirs(images(2)), atol=1e-6)
    scaled = rbench.load(
        "backbone", NAME, revision=COMMIT, architecture="cifar-resnet18", mean=[0.5] * 3, std=[0.25] * 3, size=16
    )
    assert scaled(images(2)).shape == (2, 4)


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper().replace("0", "g")])
def test_a_revision_is_a_commit(revision):
    with refused(
        place=f"{NAME}: revision", problem=some("a commit"), found=repr(revision), remedy=some("commits/main")
    ):
        files("someone/net", revision=revision)


def test_nothing_is_fetched_unasked(hub_cache):  # noqa: F811
    remedy = some(f"hf download someone/net --revision {COMMIT}")
    for download in (False, True):
        with refused(MissingError, component=some(NAME), remedy=some("hf download") if download else remedy):
            files("someone/net", revision=COMMIT, download=download)


def test_only_safetensors_are_read(hub_cache):  # noqa: F811
    with refused(place=f"{NAME}: filename", found="'net.bin'"):
        files("someone/net", revision=COMMIT, filename="net.bin", architecture="cifar-resnet18")


def test_the_configuration_says_whose_model_it_is(hub_cache):  # noqa: F811
    folder = repository(hub_cache, "someone/net")
    saved_vit(folder)
    assert rbench.load("backbone", NAME, revision=COMMIT, size="own")(images(2, 20)).shape == (2, 5)
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON map"):
        files("someone/net", revision=COMMIT)


def test_a_repository_of_timm_describes_its_model(hub_cache):  # noqa: F811
    folder = repository(hub_cache, "someone/net")
    theirs = saved_timm(folder / "model.safetensors", num_classes=6)
    said = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "input_size": [3, 40, 40]}
    config = {"architecture": "test_resnet", "num_classes": 6, "pretrained_cfg": said}
    (folder / "config.json").write_text(json.dumps(config))
    ours = rbench.load("backbone", NAME, revision=COMMIT)
    assert torch.allclose(ours(images(2)), theirs((images(2) - 0.5) / 0.25), atol=1e-5)
    (folder / "config.json").write_text(json.dumps({**config, "architecture": "os.system"}))
    with refused(place=some("architecture"), found="'os.system'"):
        rbench.load("backbone", NAME, revision=COMMIT)


def test_the_license_is_that_of_the_card_in_the_cache(hub_cache):  # noqa: F811
    assert "its card is not in the cache" in about("someone/net")["license"]
    (repository(hub_cache, "someone/net") / "README.md").write_text("---\nlicense: cc-by-4.0\n---\nText.\n")
    assert about("someone/net") == {"origin": "https://huggingface.co/someone/net", "license": "cc-by-4.0"}
