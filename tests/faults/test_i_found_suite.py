"""Rows 101, 102, 134, 135 and 140 of the fault table: folders of the user's, the API, and what is shown of a run."""

import copy
import json
import shutil
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import ARGUMENTS, ARRAYS, X, Y, asked, suite_of
from parts import refused, some
from small_models import Says
from small_runs import content, rbench
from torch import nn

import rbench as package
from rbench import evaluate
from rbench.attacks.pgd import pgd
from rbench.errors import CellFailed, InputError
from rbench.suite.load import load_suite

TINY = """\
# mine
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 2}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity, {name: bit-depth, bits: 3}]
attacks: [noise]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The user's folder, in which the command is given."""
    monkeypatch.chdir(tmp_path)
    Path("suite.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the suite with both rows."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "suite.yaml").write_text(TINY)
    assert rbench("run", folder / "suite.yaml", "--out", folder / "run") == 0
    return folder / "run"


# --- 101, 102, 140: the user's files ------------------------------------------------------------------------------


@pytest.mark.parametrize("out", [".", "mine"])
def test_101_a_folder_that_is_the_users_is_not_written_to(project, capfd, out):
    Path("mine").mkdir()
    Path("mine/suite.yaml").write_text(TINY)
    before = content(project)
    assert rbench("run", f"{out}/suite.yaml", "--out", out) == 2
    assert "suite.yaml" in capfd.readouterr().err
    assert content(project) == before


def test_101_a_folder_with_a_link_that_leads_elsewhere_is_not_written_to(project, finished, capfd):
    shutil.copytree(finished, "run")
    Path("elsewhere").mkdir()
    for name in ("verified", "chunks/0123456789ab"):
        link = Path("run") / name
        link.symlink_to(project / "elsewhere")
        before = content(project)
        for verb in (["run", "suite.yaml", "--out", "run"], ["verify", "run"]):
            capfd.readouterr()
            assert rbench(*verb) == 2
            assert f"run/{name}" in capfd.readouterr().err
        assert content(project) == before
        link.unlink()
    Path("mine.txt").write_text("mine")
    Path("run/run.lock").symlink_to(project / "mine.txt")
    assert rbench("run", "suite.yaml", "--out", "run") == 2
    assert Path("mine.txt").read_text() == "mine"


def test_102_a_run_goes_to_runs_and_leaves_committed_evidence_alone(project, finished, capfd):
    shutil.copytree(finished, "results/tiny")
    before = content(Path("results"))
    assert rbench("run", "suite.yaml", "--set", "dataset.samples=1", "--only", "*/identity/*") == 0
    assert "--out results/tiny" in capfd.readouterr().err
    assert Path("runs/tiny/leaderboard.md").is_file()
    assert content(Path("results")) == before
    assert rbench("run", "suite.yaml", "--out", "results/tiny", "--only", "*/identity/*") == 0
    assert "nothing to do: all 1 cells are in results/tiny" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--only", "*/bit-depth/*"], {"bit-depth"}),
        (["--only", "identity"], {"identity"}),
        (["--set", "purifiers=[{name: bit-depth, bits: 2, as: two}]", "--only", "two"], {"two"}),
        (["--set", "purifiers=[]"], {"identity"}),
        ([], {"identity", "bit-depth"}),
    ],
)
def test_140_only_the_rows_asked_for_are_shown_and_reported(project, finished, capfd, options, rows):
    shutil.copytree(finished, "run")
    assert rbench("run", "suite.yaml", "--out", "run", *options, "--json") == 0
    out, page = json.loads(capfd.readouterr().out), Path("run/leaderboard.md").read_text()
    assert {row["purifier"] for row in out["rows"]} == rows
    for name in ("identity", "bit-depth", "two"):
        assert (name in page) == (name in rows)


# --- 134: one table of cases, run through suites and the API -------------------------------------------------------


def problem():
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), x, torch.zeros(4, dtype=torch.int64)


def words(error):
    return error.problem, error.found, error.remedy


@pytest.mark.parametrize("case", ARGUMENTS, ids=lambda case: case.title)
def test_134_a_wrong_argument_gets_the_words_of_a_suite(project, case):
    Path("s.yaml").write_text(suite_of(case))
    with pytest.raises(InputError) as there:
        load_suite("s.yaml")
    with pytest.raises(InputError) as here:
        evaluate(*problem(), **asked(case))
    assert words(here.value) == words(there.value)
    assert here.value.place.split(": ")[-1] == case.field
    assert there.value.place.removesuffix("[0]").endswith(f".{case.field}")
    assert "\n" not in str(here.value) + str(there.value)


def test_134_the_same_argument_is_the_same_exit_code_and_line_on_the_command_line(project, capfd):
    Path("s.yaml").write_text(suite_of(ARGUMENTS[0]))
    assert rbench("run", "s.yaml") == 2
    line = capfd.readouterr().err
    with pytest.raises(InputError) as here:
        evaluate(*problem(), **asked(ARGUMENTS[0]))
    assert line.rstrip().endswith(str(here.value).removeprefix("eps: "))


@pytest.mark.parametrize("name", ARRAYS)
def test_134_wrong_images_and_labels_get_the_words_of_a_suite(project, name):
    x, y = ARRAYS[name]
    np.savez("x.npz", x=x, y=y)
    with pytest.raises(InputError) as there:
        package.load("dataset", "npz", path=Path("x.npz"))
    with pytest.raises(InputError) as here:
        evaluate(nn.Identity(), x, y)
    assert words(here.value) == words(there.value)
    assert here.value.place in (there.value.place.removeprefix("x.npz: "), "images and labels")
    assert "\n" not in str(here.value)


WORKS = {
    "tensors": lambda x, y: (x, y),
    "arrays": lambda x, y: (x.numpy(), y.numpy()),
    "a list of tensors": lambda x, y: (list(x), list(y)),
    "a list of arrays": lambda x, y: ([*x.numpy()], y.tolist()),
    "lists of numbers": lambda x, y: (x.tolist(), y.tolist()),
    "channels last": lambda x, y: (x.numpy().transpose(0, 2, 3, 1), y),
    "float64": lambda x, y: (x.double(), y.to(torch.int32)),
    "bytes": lambda x, y: ((x * 255).to(torch.uint8), y.to(torch.uint8)),
    "a gradient": lambda x, y: (x.clone().requires_grad_(), y),
    "backwards in memory": lambda x, y: (x.flip(3).numpy()[..., ::-1], y),
    "bfloat16": lambda x, y: (x.bfloat16(), y),
}


@pytest.mark.parametrize("name", WORKS)
def test_134_images_and_labels_may_be_arrays_lists_and_of_other_types(name):
    x = torch.randint(0, 255, (6, 3, 5, 4), generator=torch.Generator().manual_seed(1)).float() / 255
    x = x.bfloat16().float() if name == "bfloat16" else x
    net = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    y = net(x).argmax(1)
    options = {"attack": "fgsm", "eps": 0.01}
    found = evaluate(net, *WORKS[name](x, y), **options)
    assert found.result_hash == evaluate(net, x, y, **options).result_hash
    assert found.adversarial.shape == x.shape


def test_134_grey_images_may_have_no_channel_axis():
    net, x, y = problem()
    assert evaluate(net, x[:, 0], y, attack="fgsm").adversarial.shape == x.shape


def test_134_numbers_may_be_numpys_and_torchs():
    net, x, y = problem()
    given = {"eps": np.float64(0.05), "steps": np.int64(2), "seed": np.int32(0), "draws": torch.tensor(4)}
    plain = {"eps": 0.05, "steps": 2, "seed": 0, "draws": 4}
    assert evaluate(net, x, y, **given).result_hash == evaluate(net, x, y, **plain).result_hash


def loader(x, y):
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2)


@pytest.mark.parametrize(
    ("given", "place", "found", "remedy"),
    [
        (lambda x, y: (loader(x, y), y), "labels", None, some("the DataLoader has them")),
        (lambda x, y: (loader(x, y).dataset, y), "labels", None, some("the TensorDataset has them")),
        (lambda x, y: (torch.utils.data.DataLoader(x),), "images", "a batch of Tensor", some("one of labels")),
        (lambda x, y: (x,), "labels", None, some("[N]")),
        (lambda x, y: (None, y), "images", None, some("[N, C, H, W]")),
        (lambda x, y: ("x.npz", y), "images", "str", some("a DataLoader")),
        (lambda x, y: ([x[0], x[0, :, :2]], y[:2]), "images", some("a list of 2"), some("torch.stack")),
        (lambda x, y: (x.to("meta"), y), "images", "a meta tensor", some("numbers")),
        (lambda x, y: (x.to_sparse(), y), "images", "a sparse_coo tensor", some("numbers")),
        (lambda x, y: (x.to(torch.complex64), y), "images", "a complex tensor", some("numbers")),
    ],
)
def test_134_what_is_no_array_is_refused_with_what_to_write(given, place, found, remedy):
    net, x, y = problem()
    with refused(place=place, found=found, remedy=remedy):
        evaluate(net, *given(x, y))


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"purifier": nn.Identity}, "purifier"),
        ({"stand_in": 3, "gradient": "bpda"}, "stand_in"),
        ({"attack": pgd}, "attack"),
        ({"attack": 3}, "attack"),
        ({"attack": pgd(steps=1), "steps": 3}, "steps"),
        ({"device": "tpu"}, "device"),
        ({"device": 3}, "device"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_134_an_argument_of_another_kind_is_refused_by_its_name(options, place):
    with refused(place=place):
        evaluate(*problem(), **options)
    with refused(place="backbone", found="the class Identity"):
        evaluate(nn.Identity, *problem()[1:])


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_134_a_model_that_cannot_be_judged_is_refused_before_it_is_asked():
    net, x, y = problem()
    with refused(place="backbone", remedy=some("made from")):
        evaluate(torch.jit.trace(net, x), x, y)
    with refused(place="backbone", remedy=some("one image")):
        evaluate(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), x, y)
    with refused(place="purifier", remedy=some("made from")):
        evaluate(net, x, y, purifier=torch.jit.trace(nn.Identity(), x))


def test_134_a_mistyped_argument_is_told_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'eps'") as told:
        evaluate(*problem(), epsilon=8 / 255)
    assert told.value.component == "attack 'pgd'"


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_134_a_caller_without_gradients_gets_the_same_result(mode):
    net, x, y = problem()
    with mode():
        found = evaluate(net, x, y, steps=2)
    assert found.result_hash == evaluate(net, x, y, steps=2).result_hash


# --- 135: the caller's model ---------------------------------------------------------------------------------------


class Worn(nn.Module):
    """Has everything that judging might change: modes, frozen parts, hooks, buffers, a gradient, a cache, a backbone that it is shown."""

    def __init__(self, *, copies=True):
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
        self.kept, self.seen = [], {}
        self.layer[0].bias.requires_grad_(False)
        if not copies:
            self.lock = threading.Lock()

    def forward(self, x):
        self.seen["last"] = self.layer[0].weight * 2
        self.kept.append(len(x))
        return (x + 0 * self.layer(x)).clamp(0, 1)

    def attach(self, backbone):
        self.backbone = backbone


class Classifier(Worn):
    def __init__(self, **options):
        super().__init__(**options)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.layer(x).flatten(1))


def state(module):
    """What a caller can see of a module."""
    return {
        "modes": [part.training for part in module.modules()],
        "attributes": [sorted(vars(part)) for part in module.modules()],
        "parts": [id(part) for part in module.modules()],
        "frozen": [p.requires_grad for p in module.parameters()],
        "tensors": [id(t) for t in (*module.parameters(), *module.buffers())],
        "numbers": [t.tolist() for t in (*module.parameters(), *module.buffers())],
        "gradients": [None if p.grad is None else p.grad.tolist() for p in module.parameters()],
        "hooks": [list(part._forward_hooks.values()) for part in module.modules()],
        "lists": (list(module.kept), dict(module.seen)),
    }


def worn(module):
    """A module in the midst of its training."""
    module.train()
    module.layer[1].eval()
    module(torch.rand(4, 1, 4, 4)).sum().backward()
    handle = module.register_forward_hook(lambda part, given, answer: None)
    module.kept.clear()
    module.seen.clear()
    return module, handle


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("copies", [True, False])
def test_135_the_callers_modules_are_left_as_they_were(copies, fails):
    net, handle = worn(Classifier(copies=copies))
    purifier, _ = worn(Worn(copies=copies))
    stand_in, _ = worn(Worn())
    if fails:
        purifier.layer.append(nn.Flatten())  # its answers are no images
    x, y = torch.rand(4, 1, 4, 4), torch.zeros(4, dtype=torch.int64)
    images, modules = x.clone(), (net, purifier, stand_in)
    before, generator = [state(module) for module in modules], torch.get_rng_state()
    with pytest.raises((CellFailed, RuntimeError)) if fails else nullcontext():
        evaluate(net, x, y, purifier=purifier, stand_in=stand_in, gradient="bpda", steps=1)
    assert [state(module) for module in modules] == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.is_grad_enabled()
    assert torch.equal(images, x)
    handle.remove()
    assert not net._forward_hooks, "the handle of a hook has lost it"
    for module in (net, stand_in):
        module.zero_grad()
        module(x).sum().backward()
        assert module.layer[0].weight.grad is not None


def test_135_a_copy_of_a_judged_model_trains():
    net, x, y = problem()
    evaluate(net, x, y, attack="fgsm")
    again = copy.deepcopy(net)
    nn.functional.cross_entropy(again(x), y).backward()
    assert again[1].weight.grad.abs().sum() > 0


def test_135_numbers_of_a_buffer_that_changes_are_put_back():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.count += 1
            return x

    net, x, y = problem()
    counts = Counts()
    with pytest.raises(CellFailed):
        evaluate(net, x, y, purifier=counts, steps=1)
    assert counts.count == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_135_the_callers_modules_are_where_they_were():
    net, x, y = problem()
    purifier = Says(lambda x: x)
    purifier.layer = nn.Conv2d(1, 1, 1)
    evaluate(net, x, y, purifier=purifier, steps=1, device="cuda")
    assert {p.device.type for p in (*net.parameters(), *purifier.parameters())} == {"cpu"}


def test_the_arrays_of_the_table_are_right_but_for_what_their_names_say():
    assert len(evaluate(nn.Sequential(nn.Flatten(), nn.Linear(X[0].size, 3)), X, Y, attack="noise").samples) == len(Y)
