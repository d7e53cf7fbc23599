import pytest
import torch
from parts import refused, some
from safetensors.torch import save_file
from torch.nn.functional import normalize
from zoo import CLIP, differentiable, frozen, images, saved_clip

import rbench
from rbench.backbones.head import features_of
from rbench.backbones.open_clip import files, items, takes
from rbench.backbones.zero_shot import Cosine, ZeroShot, zero_shot_in
from rbench.engine.copies import own_copy
from rbench.errors import InputError
from rbench.signature import ParameterError

open_clip = pytest.importorskip("open_clip")
NAMES = ["airplane", "T-shirt/top", "ankle_boot"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    return folder, saved_clip(folder)


def loaded(folder, **params):
    return rbench.load("backbone", f"open-clip:{folder}", **params)


def seen(x):
    mean, std = (torch.tensor(CLIP["preprocess_cfg"][name]).view(3, 1, 1) for name in ("mean", "std"))
    return (x - mean) / std


def test_zero_shot_logits_are_those_of_open_clip(clip):
    folder, theirs = clip
    templates = ["a photo of a {}.", "art of the {}."]
    ours, x = loaded(folder, class_names=NAMES, templates=templates), images(3)
    said = [name.replace("_", " ") for name in NAMES]
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    texts = open_clip.build_zero_shot_classifier(theirs, tokenizer, said, templates)
    with torch.no_grad():
        expected = theirs.logit_scale.exp() * normalize(theirs.encode_image(seen(x)), dim=-1) @ texts
    assert frozen(ours)
    assert own_copy(ours) is not None
    assert torch.allclose(ours(x), expected, atol=1e-4)
    assert differentiable(ours)


def test_texts_are_kept_as_a_buffer_and_their_tower_is_dropped(clip):
    ours = loaded(clip[0], class_names=NAMES)
    (texts,) = [part.texts for part in ours.modules() if isinstance(part, Cosine)]
    assert texts.shape == (3, 16)
    assert torch.allclose(texts.norm(dim=1), torch.ones(3))
    assert "texts" in {name.rpartition(".")[2] for name, _ in ours.named_buffers()}
    assert sum(p.numel() for p in ours.parameters()) < 49408
    assert all(part.describe is None for part in ours.modules() if isinstance(part, ZeroShot))


def test_without_names_there_are_no_classes(clip):
    ours = loaded(clip[0])
    with refused(place="backbone", problem=some("no classes"), remedy=some("class_names")):
        ours(images(2))
    with refused(problem="two classes of data have one name", found="'boot ankle'"):
        zero_shot_in(ours).name_classes(["boot_ankle", "boot ankle", "bag"], "data")


def test_features_take_a_head(clip, tmp_path):
    folder, theirs = clip
    head = {"weight": torch.rand(3, 16), "bias": torch.rand(3)}
    save_file(head, tmp_path / "head.safetensors")
    whole, x = loaded(folder, head=str(tmp_path / "head.safetensors")), images(2)
    features = theirs.encode_image(seen(x))
    assert torch.allclose(features_of(loaded(folder))(x), features, atol=1e-5)
    assert torch.allclose(whole(x), features @ head["weight"].T + head["bias"], atol=1e-5)
    assert differentiable(whole)


def test_images_are_resized_to_the_size_of_the_tower(clip):
    ours = loaded(clip[0], class_names=NAMES)
    assert ours(images(2, 20)).shape == (2, 3)
    assert differentiable(ours, 20)
    with refused(place="backbone", problem=some("32x32"), found="20x20"):
        loaded(clip[0], class_names=NAMES, size=None)(images(2, 20))
    assert loaded(clip[0], class_names=NAMES, size=64)(images(2, 20)).shape == (2, 3)


@pytest.mark.parametrize("template", ["a photo", "{} and {}"])
def test_a_template_names_the_class_once(clip, template):
    with refused(place=some("templates"), found=repr(template)):
        loaded(clip[0], templates=[template])


def test_the_names_in_the_source_text_are_those_that_open_clip_registers():
    known = {*open_clip.list_models(), *("/".join(pair) for pair in open_clip.list_pretrained())}
    missing = known - set(items())
    assert all("quickgelu" in name for name in missing)
    assert all(map(takes, missing))


def test_an_unknown_name_and_a_name_without_weights_are_refused():
    with refused(ParameterError, remedy=some("Close: open-clip:ViT-B-32/"), problem=some("ViT-B-32/laion2b_s34b_b79")):
        rbench.load("backbone", "open-clip:ViT-B-32/laion2b_s34b_b79")
    with refused(place="open-clip:ViT-B-32", problem="names no weights", remedy=some("checkpoint")):
        files("ViT-B-32")


def test_weights_of_another_model_are_refused(clip, tmp_path):
    save_file({"visual.conv1.weight": torch.rand(2, 2)}, tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match="does not fit open_clip's RN50"):
        rbench.load("backbone", "open-clip:RN50", checkpoint=str(tmp_path / "mine.safetensors"))
