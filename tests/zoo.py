"""Tiny models of libraries with weights of their own, saved as these libraries save them: nothing is downloaded, nothing is a mock."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rbench.backbones.quiet import quiet

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def images(n, side=32, channels=3):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0))


def frozen(model):
    return not any(part.training for part in model.modules()) and not any(p.requires_grad for p in model.parameters())


def differentiable(model, side=32):
    """Whether a gradient comes back to every pixel."""
    x = images(2, side).requires_grad_()
    logits = model(x)
    (logits[:, 0] - logits[:, 1]).sum().backward()
    return bool((x.grad.abs().amax((1, 2, 3)) > 0).all() and (x.grad != 0).float().mean() > 0.9)


def saved_timm(path: Path, name="test_resnet", **options):
    """A network of timm with random weights, and the file of them."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(name, **options).eval()
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return network


def saved_vit(folder: Path, labels=5, side=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)):
    """A vision transformer of transformers in a folder, with its processor."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=side, patch_size=8,
        num_labels=labels, hidden_dropout_prob=0.5,
    )  # fmt: skip
    with quiet():
        network = transformers.ViTForImageClassification(config).eval()
        network.save_pretrained(folder)
    said = {"image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side}, "resample": 3}
    said |= {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    said |= {"image_mean": list(mean), "image_std": list(std)}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return network


def saved_dinov2(folder: Path, side=28):
    """DINOv2 in a folder, which has features and no classes."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=side, patch_size=14
    )
    with quiet():
        network = transformers.Dinov2Model(config).eval()
        network.save_pretrained(folder)
    said = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 32}, "resample": 3}
    said |= {"crop_size": {"height": side, "width": side}, "do_center_crop": True, "do_normalize": True}
    said |= {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return network


CLIP = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic"},
}


def saved_clip(folder: Path):
    """A CLIP model of open_clip in a folder."""
    open_clip = pytest.importorskip("open_clip")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CLIP))
    torch.manual_seed(0)
    with quiet():
        network = open_clip.create_model(f"local-dir:{folder}", load_weights=False).eval()
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "open_clip_model.safetensors")
    return network


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """A cache of Hugging Face without any repository."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def repository(cache: Path, name: str) -> Path:
    """The folder of a repository's only commit in a cache, which is its `main`."""
    root = cache / f"models--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot
