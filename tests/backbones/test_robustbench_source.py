"""What `robustbench:` does without the library: names from source text, files, downloads only when told, stand-ins that go again."""

import base64
import hashlib
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from parts import refused, some

from rbench.backbones import robustbench as module
from rbench.backbones.robustbench_zoo import fetching, importing, names
from rbench.backbones.robustbench_zoo.filled import filled
from rbench.backbones.robustbench_zoo.names import ZooModel
from rbench.errors import InputError, MissingError
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

ROOT = Path(__file__).parents[2]
ZOO = """\
linf = OrderedDict([
    ('Small', {'model': lambda: Net(depth=4), 'gdrive_id': 'abc'}),
    ('Pair', {'model': Pair, 'gdrive_id': ['one', 'two']}),
    ('Elsewhere', {'model': (lambda: timm.create_model('x', pretrained=True)), 'gdrive_id': None}),
])
l2 = OrderedDict([('Round', {'model': Net, 'gdrive_id': 'def', 'preprocessing': 'Res256'})])
models = OrderedDict([(ThreatModel.Linf, linf), (ThreatModel.L2, l2)])
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The source text of a zoo of a few models."""
    folder = tmp_path / "site" / "robustbench"
    (folder / "model_zoo").mkdir(parents=True)
    for data in ("cifar10", "cifar100", "imagenet"):
        text = ZOO if data == "cifar10" else "models = OrderedDict([])\n"
        path = folder / "model_zoo" / f"{data}.py"
        path.write_text(text.replace("models =", f"{data}_models ="))
    monkeypatch.setattr(names, "installed", lambda: folder)
    monkeypatch.setattr(names, "_overwritten", lambda folder: None)
    return folder


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(names, "installed", lambda: None)


@pytest.fixture
def google(monkeypatch):
    """A gdown that writes down what it was asked for, in place of the real one."""
    asked = []

    def download(*, id, output, quiet):  # noqa: A002 - gdown calls it so
        asked.append(id)
        Path(output).write_bytes(b"weights")
        return output

    fake = ModuleType("gdown")
    fake.download = download
    monkeypatch.setitem(sys.modules, "gdown", fake)
    monkeypatch.setattr(module, "looked_at", lambda path: path)
    return asked


def test_models_are_read_from_the_source_text(library):
    found = names.models("cifar10", "Linf")
    assert [model.file_names for model in found.values()] == [
        ("Small.pt",),
        ("Pair.pt_m0.pt", "Pair.pt_m1.pt"),
        ("Elsewhere.pt",),
    ]
    assert [model.addresses for model in found.values()] == [("abc",), ("one", "two"), ()]
    assert list(names.models("cifar10", "L2")) == ["Round"]
    assert names.models("imagenet", "Linf") == {}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("smal", "Close: Small."),
        ("Round", "It is there for dataset: cifar10, threat: L2."),
        ("qqq", "It has Small, Pair, Elsewhere, ..."),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(library, name, remedy):
    with refused(problem=f"RobustBench has no model {name!r} for cifar10 and Linf.", remedy=remedy):
        names.model(name, "cifar10", "Linf")


def test_a_zoo_that_is_laid_out_otherwise_is_told(library):
    (library / "model_zoo" / "cifar100.py").write_text("zoo = {}\n")
    with refused(MissingError, place=some("cifar100.py"), problem=some("laid out in another way")):
        names.models("cifar10", "Linf")


def test_without_the_library_the_extra_is_named(without):
    with refused(MissingError, problem="needs robustbench", remedy="pip install 'rbench[robustbench]'"):
        module.robustbench("Carmon2019Unlabeled")


def test_the_copy_that_torchattacks_ships_is_not_the_library(monkeypatch):
    def none(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(names, "distribution", none)
    assert names.installed() is None


def test_files_that_another_package_has_written_over_are_told(tmp_path, monkeypatch):
    path = tmp_path / "robustbench" / "model_zoo" / "cifar10.py"
    path.parent.mkdir(parents=True)
    path.write_text("brought = True\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
    brought = SimpleNamespace(
        parts=("robustbench", "model_zoo", "cifar10.py"),
        suffix=".py",
        hash=SimpleNamespace(mode="sha256", value=digest),
    )
    monkeypatch.setattr(names, "distribution", lambda name: SimpleNamespace(files=[brought]))
    monkeypatch.setattr(names, "installed", lambda: path.parents[1])
    names._overwritten.cache_clear()
    assert names.require_installed() == path.parents[1]
    path.write_text("brought = False\n")
    names._overwritten.cache_clear()
    with refused(MissingError, place=str(path), remedy=some("--force-reinstall --no-deps robustbench")):
        names.require_installed()
    names._overwritten.cache_clear()


def test_files_are_those_that_are_there_and_nothing_is_fetched(library, tmp_path, google):
    assert module.files("Pair", model_dir=tmp_path) == []
    with refused(MissingError, place=str(tmp_path / "cifar10/Linf/Small.pt"), remedy=some("download: true")):
        module.robustbench("Small", model_dir=tmp_path)
    second = tmp_path / "cifar10" / "Linf" / "Pair.pt_m1.safetensors"
    second.parent.mkdir(parents=True)
    second.write_bytes(b"x")
    assert module.files("Pair", model_dir=tmp_path) == [second]
    assert google == []


def test_only_what_is_missing_is_fetched_and_only_when_told(library, tmp_path, google):
    first = tmp_path / "cifar10" / "Linf" / "Pair.pt_m0.pt"
    first.parent.mkdir(parents=True)
    first.write_bytes(b"mine")
    found = module.files("Pair", model_dir=tmp_path, download=True)
    assert google == ["two"]
    assert [path.read_bytes() for path in found] == [b"mine", b"weights"]
    assert module.files("Pair", model_dir=tmp_path, download=True) == found
    assert google == ["two"]
    assert not list(tmp_path.rglob("*.part"))


def test_what_cannot_be_fetched_says_where_the_file_goes(library, tmp_path, google, monkeypatch):
    place = tmp_path / "cifar10" / "Linf" / "Small.pt"
    monkeypatch.setattr(sys.modules["gdown"], "download", lambda **_: None)
    with refused(MissingError, place=str(place), problem=some("Google Drive gave nothing")):
        module.files("Small", model_dir=tmp_path, download=True)
    with refused(MissingError, problem=some("keeps no file of it")):
        module.files("Elsewhere", model_dir=tmp_path, download=True)
    monkeypatch.setitem(sys.modules, "gdown", None)
    with refused(MissingError, problem="a download needs gdown"):
        fetching.fetch("abc", place)


@pytest.mark.parametrize("name", ["../../secret", "a/b", "", ".hidden", "C:x"])
def test_a_name_never_leads_out_of_the_folder(without, tmp_path, name):
    with pytest.raises(InputError, match="is no name of a model"):
        module.files(name, model_dir=tmp_path)


def test_what_stands_in_is_gone_afterwards_and_what_was_there_is_back(monkeypatch):
    mine = ModuleType("pkg_resources")
    monkeypatch.setitem(sys.modules, "pkg_resources", mine)
    monkeypatch.delitem(sys.modules, "autoattack", raising=False)
    monkeypatch.setattr(importing, "_is_there", lambda module: False)
    with importing._stand_ins():
        there = import_module("autoattack"), import_module("autoattack.state"), import_module("pkg_resources")
        assert there[0].AutoAttack
        assert there[1].EvaluationState
        assert Path(there[2].resource_filename("rbench.errors", "py.typed")) == ROOT / "rbench" / "py.typed"
    assert sys.modules["pkg_resources"] is mine
    assert "autoattack" not in sys.modules
    assert sys.modules["pyautoattack"].state is sys.modules["pyautoattack.state"]


class Net(torch.nn.Module):
    """A small network that normalises as classes of the zoo do."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)
        self.register_buffer("mu", torch.full((3,), 0.5))
        self.register_buffer("sigma", torch.full((3,), 0.25))

    def forward(self, x):
        return self.fc((x.mean((2, 3)) - self.mu) / self.sigma)


WEIGHTS = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.tensor([1.0, 2.0])}


def put(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Small", WEIGHTS),
        ("Small", {"state_dict": {f"module.{name}": one for name, one in WEIGHTS.items()}, "epoch": 3}),
        ("Small", {**WEIGHTS, "model_preact_hl1.1.weight": torch.ones(3), "conv1.scores": torch.ones(2)}),
        ("Kireev2021Effectiveness_RLAT", {"best": {name: one * 0 for name, one in WEIGHTS.items()}, "last": WEIGHTS}),
    ],
)
def test_files_without_a_normalisation_or_with_more_than_is_asked_fill_the_network(tmp_path, name, content):
    network = filled(Net(), ZooModel(name, ("a",), several=False), [put(tmp_path / "n.pt", content)], None)
    assert torch.equal(network.fc.bias, WEIGHTS["fc.bias"])
    assert torch.equal(network.sigma, torch.full((3,), 0.25))


def test_a_normalisation_in_the_file_is_taken(tmp_path):
    content = {**WEIGHTS, "mu": torch.zeros(3), "sigma": torch.ones(3)}
    network = filled(Net(), ZooModel("Small", ("a",), several=False), [put(tmp_path / "n.pt", content)], None)
    assert torch.equal(network.sigma, torch.ones(3))


def test_what_is_no_part_of_the_network_is_told(tmp_path):
    path = put(tmp_path / "n.pt", {**WEIGHTS, "fc2.bias": torch.ones(2)})
    with refused(problem="does not fit RobustBench's Small; unexpected: fc2.bias", place=str(path)):
        filled(Net(), ZooModel("Small", ("a",), several=False), [path], None)


def test_files_of_parts_that_nobody_knows_are_refused(tmp_path):
    paths = [put(tmp_path / f"{place}.pt", WEIGHTS) for place in range(3)]
    with refused(problem=some("for which parts of it its 3 files are")):
        filled(Net(), ZooModel("Three", ("a", "b", "c"), several=True), paths, None)


def test_our_suite_plans_without_the_library_and_without_weights(without, monkeypatch):
    monkeypatch.setattr("rbench.datasets.parquet.files", lambda *_, **__: [])
    planned = plan(load_suite(ROOT / "suites" / "robustbench-parity.yaml"))
    assert len(planned.cells) == 9
    assert {cell.purifier.name for cell in planned.cells} == {"identity"}


def test_items_are_all_names_and_without_the_library_any(library, monkeypatch):
    assert module.items() == ("Elsewhere", "Pair", "Round", "Small")
    assert not module.takes("Smal")
    assert module.about("Round")["trained for"] == "dataset: cifar10, threat: L2"
    assert module.about("Round")["license"] == "MIT"
    assert module.about("Ding2020MMA")["license"] == "CC-BY-NC-SA-4.0"
    monkeypatch.setattr(names, "installed", lambda: None)
    assert module.items() == ()
    assert module.takes("Carmon2019Unlabeled")
    assert not module.takes("../x")
    with refused(MissingError, problem="needs robustbench"):
        module.about("Small")


class Members(torch.nn.Module):
    """Networks of which each has a file; what joins them has none."""

    def __init__(self, **named):
        super().__init__()
        self.models = torch.nn.ModuleList([Net(), Net()])
        for name, part in named.items():
            self.add_module(name, part)


@pytest.mark.parametrize("named", [(), ("std_model", "rob_model")])
def test_each_member_of_an_ensemble_is_filled_from_its_file(tmp_path, named):
    network = Members(**{name: Net() for name in named})
    members = [getattr(network, name) for name in named] or list(network.models)
    state = {f"module.{name}": one for name, one in WEIGHTS.items()}
    paths = [put(tmp_path / f"{k}.pt", {name: one * k for name, one in state.items()}) for k in (1, 2)]
    filled(network, ZooModel("Pair", ("a", "b"), several=True), paths, None)
    assert [float(member.fc.bias.sum()) for member in members] == [3.0, 6.0]
    assert not any(part.training for part in network.modules())


def test_the_librarys_own_normalisation_in_front_is_no_part_of_the_file(tmp_path):
    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = Net()

    wrapped = torch.nn.Sequential()
    wrapped.add_module("normalize", torch.nn.Identity())
    wrapped.add_module("model", Net())
    filled(wrapped, ZooModel("Small", ("a",), several=False), [put(tmp_path / "n.pt", WEIGHTS)], None)
    assert torch.equal(wrapped.model.fc.bias, WEIGHTS["fc.bias"])
    with refused(problem=some("does not fit")):  # a network whose own part is called model is no such pair
        filled(Whole(), ZooModel("Small", ("a",), several=False), [tmp_path / "n.pt"], None)
