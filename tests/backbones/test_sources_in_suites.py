"""Backbones of libraries through the command line: planned, run, recorded, verified; and what is told of their items."""

import json

import numpy as np
import pytest
from PIL import Image
from small_runs import rbench, records
from zoo import hub_cache, saved_clip, saved_timm, saved_vit  # noqa: F401 - a fixture

from rbench.errors import InputError
from rbench.registry import items_of, registry

SUITE = """\
suite: zoo
dataset: {{name: image-folder, path: data}}
threat: {{norm: Linf, eps: 8/255}}
backbones:
  - {backbone}
purifiers:
  - identity
  - {{name: gaussian-noise, sigma: 0.02}}
attacks:
  - {{name: pgd, steps: 2}}
protocol: {{draws: 2, select_draws: 2}}
"""
BACKBONES = {
    "timm": "{name: 'timm:test_resnet', checkpoint: mine.safetensors, size: 48}",
    "vit": "{name: 'timm:test_vit', checkpoint: mine.safetensors}",
    "transformers": "{name: 'transformers:vit'}",
    "open-clip": "{name: 'open-clip:clip'}",
}
SAID = {
    "timm": "images are resized to 48x48 inside the backbone (bilinear, differentiable, nothing cropped)",
    "transformers": "images are resized to 24x24 inside the backbone (bicubic, differentiable, nothing cropped)",
    "open-clip": "zero-shot: logits are the cosines with the text features of 3 classes",
    "vit": "pixels are normalised inside the backbone: mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of pictures of three classes, into which this test goes."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog", "frog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(kind, folder):
    if kind in ("timm", "vit"):
        saved_timm(folder / "mine.safetensors", "test_resnet" if kind == "timm" else "test_vit", num_classes=3)
    elif kind == "transformers":
        saved_vit(folder / "vit", labels=3, side=24)
    else:
        saved_clip(folder / "clip")


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_backbone_of_a_library_is_run_and_recorded(folder, kind, capsys):
    save(kind, folder)
    (folder / "suite.yaml").write_text(SUITE.format(backbone=BACKBONES[kind]))
    assert rbench("run", "suite.yaml", "--out", "out", "--workers", "0") == 0, capsys.readouterr()
    found = records(folder / "out")
    assert len(found) == 2
    for record in found.values():
        assert record.status == "done", record.error
        assert SAID[kind] in record.backbone.told
        hashes = record.cell["backbone"]["files"]
        assert hashes
        assert all(len(digest) == 64 for digest in hashes.values())
        assert not {"leaks", "masked-gradient"} & {flag.name for flag in record.flags}
        assert record.audit["reaches_input"]
    if kind == "open-clip":  # whose text features are computed anew, to the same numbers
        assert rbench("run", "suite.yaml", "--out", "out", "--workers", "0") == 0
        assert "run again" not in capsys.readouterr().err


def test_a_folder_is_stored_by_its_name_and_whether_to_fetch_is_no_part_of_a_cell(folder, capsys):
    saved_vit(folder / "vit", labels=3, side=24)
    (folder / "suite.yaml").write_text(SUITE.format(backbone=f"{{name: 'transformers:{folder}/vit'}}"))
    assert rbench("plan", "suite.yaml", "--json") == 0
    first = json.loads(capsys.readouterr().out)["cells"]
    (folder / "suite.yaml").write_text(SUITE.format(backbone="{name: 'transformers:vit', download: true}"))
    assert rbench("plan", "suite.yaml", "--json") == 0
    assert [cell["id"] for cell in json.loads(capsys.readouterr().out)["cells"]] == [cell["id"] for cell in first]


UNKNOWN = {
    "torchvision:resnet18x": "torchvision:resnet18",
    "timm:resnet18x": "timm:resnet18",
    "open-clip:ViT-B-33": "open-clip:ViT-B-32",
    "efficientnet-lite:lite1": "lite0, lite2",
    "bundled:fashion-cn": "fashion-cnn",
}


@pytest.mark.parametrize(("name", "close"), UNKNOWN.items())
def test_an_unknown_item_is_an_error_wherever_it_is_named(folder, name, close, capsys):
    (folder / "suite.yaml").write_text(SUITE.format(backbone=f"{{name: '{name}'}}"))
    for line in (["show", "backbone", name], ["list", "backbones", name], ["plan", "suite.yaml"]):
        assert rbench(*line) == 2
        said = capsys.readouterr().err
        assert name.partition(":")[2] in said
        assert close in said
        assert said.count("\n") <= 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvision:resnet18", ["resnet18-f37072fd.pth", "BSD-3-Clause"]),
        ("timm:resnet18.a1_in1k", ["https://huggingface.co/timm/resnet18.a1_in1k", "apache-2.0", "224x224"]),
        ("timm:vit_small_patch14_dinov2.lvd142m", ["apache-2.0", "518x518", "features"]),
        (
            "open-clip:ViT-B-32/laion2b_s34b_b79k",
            ["https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "mean"],
        ),
        ("efficientnet-lite:lite2", ["Apache-2.0", "260x260"]),
    ],
)
def test_an_item_is_shown_with_its_origin_and_license(name, words, capsys, hub_cache):  # noqa: F811
    if not name.startswith("efficientnet-lite"):
        pytest.importorskip(name.partition(":")[0].replace("-", "_"))
    assert rbench("show", "backbone", name) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in words), out
    assert rbench("show", "backbone", name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["about"]["license"]


def test_the_items_of_a_source_are_listed_by_a_glob_with_a_colon(capsys):
    assert rbench("list", "backbones", "torchvision:resnet1*", "--json") == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert names == ["torchvision:resnet101", "torchvision:resnet152", "torchvision:resnet18"]
    assert rbench("list", "backbones", "torchvision:zzz*") == 0
    assert "no backbone matches" in capsys.readouterr().out


def test_published_weights_that_are_not_there_stop_a_plan_with_what_to_do(folder, hub_cache, capsys):  # noqa: F811
    pytest.importorskip("timm")
    (folder / "suite.yaml").write_text(SUITE.format(backbone="{name: 'timm:test_resnet', pretrained: true}"))
    assert rbench("plan", "suite.yaml") == 3
    assert "download: true" in capsys.readouterr().err


@pytest.mark.parametrize("extra", ["timm", "transformers", "open-clip"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(folder, extra, monkeypatch, capsys):
    from rbench.backbones import written_names

    monkeypatch.setattr(written_names, "find_spec", lambda name: None)
    saved = {"timm": "timm:resnet18, checkpoint: x.pt", "open-clip": "open-clip:ViT-B-32, checkpoint: x.pt"}
    name = saved.get(extra, "transformers:someone/net")
    (folder / "suite.yaml").write_text(SUITE.format(backbone=f"{{name: {name}}}"))
    assert rbench("plan", "suite.yaml") == 3
    assert f"pip install 'rbench[{extra}]'" in capsys.readouterr().err


def test_a_third_party_source_lists_its_items_by_a_function(plugins):
    text = (
        "def items():\n    return ['big', 'small']\n\n\n"
        "def takes(item):\n    return item.startswith('my-')\n\n\n"
        "def net(item):\n    '''N.'''\n    return item\n"
    )
    plugins.add("zoo", {"zoo_mod": text}, {"rbench.backbones": {"zoo": "zoo_mod:net"}})
    assert items_of(registry("backbone").get("zoo")) == ("big", "small")
    from rbench.registry import load

    assert load("backbone", "zoo:small") == "small"
    assert load("backbone", "zoo:my-own") == "my-own"
    with pytest.raises(InputError, match="Close: zoo:small"):
        load("backbone", "zoo:smal")
