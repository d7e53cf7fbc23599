import json

import pytest
import torch
from parts import refused, some
from safetensors.torch import load_file, save_file
from zoo import differentiable, frozen, hub_cache, images, repository, saved_dinov2, saved_vit  # noqa: F401 - a fixture

import rbench
from rbench.backbones.architectures.resized import Resized
from rbench.backbones.head import features_of, with_head
from rbench.backbones.transformers import files
from rbench.engine.copies import own_copy
from rbench.engine.patches import undo_patches
from rbench.errors import InputError, MissingError
from rbench.signature import ParameterError

transformers = pytest.importorskip("transformers")


def loaded(folder, **params):
    return rbench.load("backbone", f"transformers:{folder}", **params)


def test_a_classifier_answers_plain_pixels_with_its_logits(tmp_path):
    theirs = saved_vit(tmp_path)
    ours, x = loaded(tmp_path), images(3)
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    assert frozen(ours)
    assert own_copy(ours) is not None
    assert undo_patches() == []
    assert torch.allclose(ours(x), theirs((x - mean) / std).logits, atol=1e-5)
    assert differentiable(ours)
    assert {path.name for path in files(str(tmp_path))} == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    }


def test_images_of_another_size_are_resized_as_the_processor_says(tmp_path):
    saved_vit(tmp_path)
    ours, x = loaded(tmp_path), images(2, 20)
    assert torch.allclose(ours(x), ours(Resized(32, "bicubic")(x)), atol=1e-4)
    assert differentiable(ours, 20)
    with pytest.raises(ValueError, match="20"):
        loaded(tmp_path, size=None)(x)


def test_what_the_processor_does_is_what_the_processor_of_transformers_does(tmp_path):
    theirs, x = saved_vit(tmp_path), (images(2, 48) * 255).to(torch.uint8)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    expected = theirs(**processor(images=list(x), return_tensors="pt")).logits
    assert torch.allclose(loaded(tmp_path)(x / 255), expected, atol=0.05)  # theirs rounds to bytes after the resize


def test_dinov2_answers_features_that_need_a_head(tmp_path):
    theirs, x = saved_dinov2(tmp_path / "net"), images(2, 28)
    ours = loaded(tmp_path / "net")
    with refused(place="backbone", problem=some("16 features, no classes"), remedy=some("head: FILE")):
        ours(x)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    features = theirs((x - mean) / std).pooler_output
    assert torch.allclose(features_of(ours)(x), features, atol=1e-5)
    head = {"weight": torch.rand(3, 16), "bias": torch.rand(3)}
    save_file(head, tmp_path / "head.safetensors")
    whole = with_head(ours, tmp_path / "head.safetensors")
    assert torch.allclose(whole(x), features @ head["weight"].T + head["bias"], atol=1e-5)
    assert differentiable(whole, 28)


def test_weights_that_would_be_drawn_at_random_are_refused(tmp_path):
    saved_vit(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    save_file(
        {k: v for k, v in state.items() if k != "classifier.weight"}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with refused(problem=some("lack classifier.weight"), remedy=some("whole model")):
        loaded(tmp_path)


def test_code_of_a_repository_and_pickles_are_refused(tmp_path):
    saved_vit(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Model"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    with refused(place=some("config.json"), problem=some("not a model that the installed transformers knows")):
        loaded(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with refused(place=str(tmp_path), problem=some("no model.safetensors"), remedy=some("save")):
        files(str(tmp_path))


def test_a_network_without_a_processor_needs_mean_and_std(tmp_path):
    saved_vit(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with refused(problem=some("mean and std are not known"), remedy=some("write mean and std")):
        loaded(tmp_path)
    assert loaded(tmp_path, mean=[0.5] * 3, std=[0.5] * 3)(images(2, 20)).shape == (2, 5)


def test_a_repository_is_read_from_the_cache_and_never_fetched_unasked(hub_cache):  # noqa: F811
    with refused(
        MissingError, component=some("someone/vit"), problem=some("not in the cache"), remedy=some("download: true")
    ):
        files("someone/vit")
    folder = repository(hub_cache, "someone/vit")
    saved_vit(folder)
    assert [path.parent for path in files("someone/vit")] == [folder] * 3
    assert loaded("someone/vit")(images(2)).shape == (2, 5)
    with refused(ParameterError, remedy=some("Close: transformers:someone/vit")):
        loaded("someone/vitt/")


def test_large_weights_in_several_files_are_all_hashed(tmp_path):
    saved_vit(tmp_path)
    transformers.ViTForImageClassification.from_pretrained(tmp_path).save_pretrained(tmp_path, max_shard_size="10KB")
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    assert sum(path.name.startswith("model-0") for path in files(str(tmp_path))) > 1
    assert loaded(tmp_path)(images(2)).shape == (2, 5)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    index["weight_map"]["classifier.weight"] = "../elsewhere.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="names no file beside it"):
        files(str(tmp_path))
