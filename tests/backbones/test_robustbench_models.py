"""Models of RobustBench's zoo: made by the library, filled from files as it keeps them, and the same as what it loads itself."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from parts import refused, some
from safetensors.torch import save_file

import rbench
from rbench.backbones.robustbench_zoo import importing, names
from rbench.backbones.robustbench_zoo.names import ZooModel
from rbench.backbones.robustbench_zoo.networks import build
from rbench.errors import MissingError
from rbench.signature import ParameterError


def _usable():
    try:
        names.require_installed()
    except MissingError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _usable(), reason="pip install 'rbench[robustbench]'")


def plain(state):
    return state


def without_normalisation(state):
    return {name: one for name, one in state.items() if name not in ("mu", "sigma")}


def parallel(state):
    return {f"module.{name}": one for name, one in state.items()}


def in_container(state):
    return {"num_epochs": 200, "state_dict": parallel(without_normalisation(state))}


def last_and_best(state):
    best = {name: torch.zeros_like(one) for name, one in state.items()}
    return {"best": best, "last": without_normalisation(state)}


ZOO = [
    ("Andriushchenko2020Understanding", "Linf", last_and_best),
    ("Wong2020Fast", "Linf", without_normalisation),
    ("Ding2020MMA", "Linf", plain),
    ("Addepalli2021Towards_RN18", "Linf", parallel),
    ("Rade2021Helper_R18_ddpm", "Linf", plain),
    ("Rice2020Overfitting", "L2", without_normalisation),
    ("Hendrycks2020AugMix_WRN", "corruptions", in_container),
    ("Hendrycks2020AugMix_ResNeXt", "corruptions", in_container),
]
"""Small ones, of architectures that differ, in the containers and behind the prefixes that their published files have."""


def saved(folder, name, threat, packed):
    """The network that the library makes, with its state saved where RobustBench would have it."""
    network = build(names.model(name, "cifar10", threat), "cifar10", threat).eval()
    generator = torch.Generator().manual_seed(7)
    for key, buffer in network.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) * 0.1 + 0.95)
    place = folder / "cifar10" / threat / f"{name}.pt"
    place.parent.mkdir(parents=True)
    torch.save(packed(network.state_dict()), place)
    return network, place


def images(n=2):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "threat", "packed"), ZOO, ids=[name for name, _, _ in ZOO])
def test_a_file_of_the_zoo_gives_the_model_that_was_saved_and_that_the_library_loads(tmp_path, name, threat, packed):
    network, _ = saved(tmp_path, name, threat, packed)
    ours = rbench.load("backbone", f"robustbench:{name}", threat=threat, model_dir=str(tmp_path))
    assert not any(part.training for part in ours.modules())
    assert not any(parameter.requires_grad for parameter in ours.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = importing.library().load_model(name, tmp_path, "cifar10", threat)
    with torch.no_grad():
        logits = ours(images())
        assert logits.shape == (2, 10)
        assert torch.equal(logits, network(images()))
        assert torch.equal(logits, theirs(images()))


@pytest.mark.soak
def test_a_transformer_that_the_library_keeps_in_timm_is_made_without_its_weights_being_fetched(tmp_path):
    name = "Debenedetti2022Light_XCiT-S12"
    network, place = saved(tmp_path, name, "Linf", plain)
    torch.save({"state_dict": network.model.state_dict()}, place)
    ours = rbench.load("backbone", f"robustbench:{name}", model_dir=str(tmp_path))
    with torch.no_grad():
        assert torch.equal(ours(images()), network(images()))


@pytest.mark.soak
def test_each_member_of_an_ensemble_of_the_zoo_has_its_file(tmp_path):
    name = "Diffenderfer2021Winning_Binary_CARD_Deck"
    model = names.model(name, "cifar10", "corruptions")
    network = build(model, "cifar10", "corruptions").eval()
    folder = tmp_path / "cifar10" / "corruptions"
    folder.mkdir(parents=True)
    for member, file in zip(network.models, model.file_names, strict=True):
        torch.save(parallel(member.state_dict()), folder / file)
    ours = rbench.load("backbone", f"robustbench:{name}", threat="corruptions", model_dir=str(tmp_path))
    with torch.no_grad():
        assert torch.equal(ours(images(1)), network(images(1)))
    (folder / model.file_names[3]).unlink()
    with refused(MissingError, place=str(folder / model.file_names[3]), remedy=some("download: true")):
        rbench.load("backbone", f"robustbench:{name}", threat="corruptions", model_dir=str(tmp_path))


def test_a_file_that_is_one_state_dict_where_the_zoo_keeps_two_is_read_when_asked(tmp_path):
    network, place = saved(tmp_path, "Andriushchenko2020Understanding", "Linf", plain)
    given = {"model_dir": str(tmp_path)}
    with refused(place=str(place), problem=some("no entry 'last'"), remedy=some("entry: .")):
        rbench.load("backbone", "robustbench:Andriushchenko2020Understanding", given)
    ours = rbench.load("backbone", "robustbench:Andriushchenko2020Understanding", given, entry=".")
    with torch.no_grad():
        assert torch.equal(ours(images()), network(images()))


def test_safetensors_of_the_same_name_will_do(tmp_path):
    network, place = saved(tmp_path, "Ding2020MMA", "Linf", plain)
    save_file(network.state_dict(), place.with_suffix(".safetensors"))
    place.unlink()
    ours = rbench.load("backbone", "robustbench:Ding2020MMA", model_dir=str(tmp_path))
    with torch.no_grad():
        assert torch.equal(ours(images()), network(images()))


class Trap:
    def __reduce__(self):
        return print, ("executed",)


def test_a_file_that_asks_for_code_is_refused_and_nothing_runs(tmp_path, capsys):
    _, place = saved(tmp_path, "Ding2020MMA", "Linf", lambda state: {**state, "trap": Trap()})
    with refused(place=some(place.name), problem=some("nothing was executed")):
        rbench.load("backbone", "robustbench:Ding2020MMA", model_dir=str(tmp_path))
    assert "executed\n" not in capsys.readouterr().out


def test_a_file_of_another_model_does_not_fit(tmp_path):
    _, place = saved(tmp_path, "Ding2020MMA", "Linf", plain)
    place.rename(place.with_name("Addepalli2021Towards_RN18.pt"))
    with refused(problem=some("does not fit RobustBench's Addepalli2021Towards_RN18; missing: ")):
        rbench.load("backbone", "robustbench:Addepalli2021Towards_RN18", model_dir=str(tmp_path))


def test_the_library_is_imported_and_nothing_that_stood_in_is_left():
    assert importing.library().load_model
    assert all(getattr(sys.modules.get(name), "__name__", name) == name for name in ("autoattack", "autoattack.state"))
    import pyautoattack.state

    assert pyautoattack.state is sys.modules["pyautoattack.state"]


def test_the_library_leaves_its_own_file_lists_readable():
    with warnings.catch_warnings():  # of timm, at names that robustbench still uses
        warnings.simplefilter("ignore")
        importing.library()
    from robustbench import loaders

    listed = loaders.pkg_resources.resource_filename(loaders.__name__, "helper_files/imagenet_test_image_ids.txt")
    assert len(Path(listed).read_text().splitlines()) == 5000


def test_a_model_of_torchvision_is_sent_there():
    model = ZooModel("Standard_R50", (), several=False)
    with refused(problem="is torchvision's own model.", remedy=some("torchvision:resnet50")):
        build(model, "imagenet", "Linf")


def test_a_name_that_the_zoo_lacks_is_answered_with_the_nearest_or_where_it_is():
    with refused(ParameterError, problem=some("has no 'Carmon2019Unlabelled'"), remedy=some("Carmon2019Unlabeled")):
        rbench.load("backbone", "robustbench:Carmon2019Unlabelled")
    with refused(remedy="It is there for dataset: cifar10, threat: L2."):
        rbench.load("backbone", "robustbench:Rony2019Decoupling")
