"""One purifier cannot touch another's row: what it leaves on the backbone, on torch or in the process fails it or is put back."""

import gc
import os
import signal
import sys
import weakref
from pathlib import Path

import pytest
import torch
from fake_plugins import Plugins
from parts import refused, some
from torch import nn

from rbench import evaluate
from rbench.engine.patches import undo_patches
from rbench.errors import CellFailed, InputError
from rbench.process_state import NOTES
from rbench.results.store import RunFolder
from rbench.running.components import Components
from rbench.running.resume import open_run
from rbench.running.runner import run
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

HEAD = '''
"""Purifiers that reach beyond their own images."""
import os, random, signal, sys
import torch
import torch.nn.functional as F
from torch import nn


def rigged(*given, **named):
    """Some function in the place of another."""
    return given[-1]


class Guest(nn.Module):
    """Is shown the backbone and gives back its images; `reach` is called in every forward pass that has gradients."""

    stochastic = False

    def __init__(self):
        super().__init__()
        self.kept = []

    def attach(self, backbone):
        self.kept = [[backbone]]

    @property
    def backbone(self):
        return self.kept[0][0]

    def forward(self, x):
        if len(x) not in (4, 16):  # not while it is audited
            self.reach()
        return x.clamp(0, 1)

    def reach(self):
        pass
'''
"""What every purifier of this file begins with."""

SUITE = """\
suite: walls
dataset: {name: fashion-mnist-mini, samples: 12}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [cheat, identity]
attacks: [{name: pgd, steps: 3}]
"""


def indented(body, spaces):
    return "\n".join(f"{' ' * spaces}{line}" for line in body.splitlines())


def guest(body):
    """A purifier that does something whenever an attack asks it."""
    return f"class Cheat(Guest):\n    def reach(self):\n{indented(body, 8)}\n"


@pytest.fixture
def judged(plugins: Plugins, tmp_path, monkeypatch):
    """Runs the purifier `cheat` of a source text and then `identity`; records by purifier, and the notes."""
    monkeypatch.chdir(tmp_path)
    NOTES.forget()

    def ran(sources, text=SUITE):
        sources = {"cheat": sources} if isinstance(sources, str) else sources
        modules = {name: f"cheating_{name.replace('-', '_')}" for name in sources}
        plugins.add(
            "cheats",
            {modules[name]: HEAD + source for name, source in sources.items()},
            {"rbench.purifiers": {name: f"{module}:Cheat" for name, module in modules.items()}},
        )
        (tmp_path / "s.yaml").write_text(text.replace("cheat,", f"{', '.join(sources)},"))
        planned, notes = plan(load_suite("s.yaml")), []
        with open_run(planned, tmp_path / "run") as folder:
            records = run(planned.cells, folder, batch_size=7, on_note=notes.append)
        return {record.purifier.label: record for record in records}, notes

    yield ran
    assert undo_patches() == [], "a test left torch patched"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The result of `identity` where no other purifier runs."""
    root = tmp_path_factory.mktemp("alone")
    (root / "s.yaml").write_text(SUITE.replace("cheat, ", ""))
    planned = plan(load_suite(root / "s.yaml"))
    (record,) = run(planned.cells, RunFolder.create(root / "run"), batch_size=7)
    assert record.status == "done"
    return record.result_hash


LEFT = {
    "hook": ("self.backbone.register_forward_hook(lambda m, i, o: o * 0)", "forward hooks of backbone"),
    "hook-of-part": (
        "list(self.backbone.modules())[-1].register_forward_pre_hook(lambda m, i: (i[0] * 0,))",
        "forward pre hooks of backbone.",
    ),
    "backward-hook": (
        "self.backbone.register_full_backward_hook(lambda m, i, o: (i[0] * 0,))",
        "backward hooks of backbone",
    ),
    "global-hook": (
        "nn.modules.module.register_module_forward_hook(lambda m, i, o: o)",
        "torch.nn.modules.module (forward hooks",
    ),
    "forward": ("self.backbone.forward = lambda x: x.flatten(1)[:, :10]", "backbone.forward"),
    "attribute": ("self.backbone.temperature = 7", "backbone.temperature"),
    "class": ("type(self.backbone).forward = rigged", ".forward"),
    "reclassed": ("self.backbone.__class__ = type('Other', (type(self.backbone),), {})", "the class of backbone"),
    "linear": ("nn.Linear.forward = lambda s, x: x[:, :s.out_features]", "torch.nn.Linear.forward"),
    "inherited": ("nn.Linear.__call__ = lambda s, x: x[:, :s.out_features]", "torch.nn.Linear.__call__"),
    "functional": ("F.relu = rigged", "torch.nn.functional.relu"),
    "code": ("F.cross_entropy.__code__ = rigged.__code__", "torch.nn.functional.cross_entropy"),
    "torch": ("torch.autograd.grad = rigged", "torch.autograd.grad"),
    "tensor": ("torch.Tensor.argmax = lambda s, *a: s[:, 0].long() * 0", "torch.Tensor.argmax"),
    "judge": ("import rbench.engine.judge as j\nj.Judge.admit = rigged", "rbench.engine.judge.Judge.admit"),
}
"""What a purifier may try to leave behind while it is attacked, and how its failure must call it."""


def untold(records, wanted):
    """The purifiers whose cell did not fail with the words wanted."""
    assert {record.status for name, record in records.items() if name != "identity"} == {"failed"}
    return {name: records[name].error for name, (_, words) in wanted.items() if words not in records[name].error}


def test_what_a_purifier_leaves_behind_fails_its_cell_by_name_and_reaches_no_other_row(judged, alone):
    records, _ = judged({name: guest(body) for name, (body, _) in LEFT.items()})
    assert untold(records, LEFT) == {}
    assert [name for name in LEFT if f"purifier '{name}'" not in records[name].error] == []
    assert records["identity"].result_hash == alone


MADE = {
    "import": ("nn.Linear.forward = rigged\nclass Cheat(Guest):\n    pass\n", "torch.nn.Linear.forward"),
    "construction": (
        "class Cheat(Guest):\n    def __init__(self):\n        super().__init__()\n        F.relu = rigged\n",
        "torch.nn.functional.relu",
    ),
    "hook": (
        "class Cheat(Guest):\n    def attach(self, backbone):\n        backbone.register_forward_hook(lambda m, i, o: o * 0)\n",
        "forward hooks of backbone",
    ),
    "weights": (
        "class Cheat(Guest):\n    def attach(self, backbone):\n        for p in backbone.parameters():\n            p.data.zero_()\n",
        "the parameters, buffers or modes of the backbone",
    ),
    "class": (
        "class Cheat(Guest):\n    def attach(self, backbone):\n        type(backbone).forward = rigged\n",
        ".forward",
    ),
    "raises": (
        "class Cheat(Guest):\n    def attach(self, backbone):\n        nn.Linear.forward = rigged\n        raise SystemExit(0)\n",
        "SystemExit: 0",
    ),
}
"""What a purifier may try before it is attacked."""


def test_what_is_changed_when_a_purifier_is_imported_made_or_attached_fails_its_cells(judged, alone):
    records, _ = judged({name: source for name, (source, _) in MADE.items()})
    assert untold(records, MADE) == {}
    assert records["identity"].result_hash == alone


def test_a_purifier_that_patches_and_then_raises_leaves_no_patch(judged, alone):
    records, _ = judged(
        guest("nn.Linear.forward = rigged\ntype(self.backbone).forward = rigged\nraise RuntimeError('late')")
    )
    assert "torch.nn.Linear.forward" in records["cheat"].error
    assert "RuntimeError: late" in records["cheat"].error
    assert records["identity"].result_hash == alone


def test_weights_of_a_module_deep_in_a_list_are_no_secret(judged, alone):
    deep = """
class Deep(Guest):
    def reach(self):
        self.kept[0][0].forward = lambda x: x.flatten(1)[:, :10]

class Learns(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

class Cheat(Guest):
    def __init__(self):
        super().__init__()
        self.parts = {"a": [(Learns(),)]}

    def reach(self):
        self.parts["a"][0][0].gain.data += 0.01
"""
    records, _ = judged(deep)
    assert records["cheat"].status == "failed"
    assert "the parameters or buffers of purifier.parts['a'][0][0]" in records["cheat"].error
    assert records["identity"].result_hash == alone


STATES = {
    "dtype": ("torch.set_default_dtype(torch.float64)", "default dtype (to torch.float64)"),
    "grad": ("torch.set_grad_enabled(False)", "grad mode"),
    "threads": ("torch.set_num_threads(3)", "number of threads (to 3)"),
    "deterministic": ("torch.use_deterministic_algorithms(True, warn_only=True)", "use_deterministic_algorithms"),
    "precision": ("torch.set_float32_matmul_precision('medium')", "float32 matmul precision"),
    "device": (
        "torch.set_default_device('meta')\ntorch.set_default_device('cpu')\ntorch.set_default_device('meta')",
        "default device",
    ),
    "seed": ("torch.manual_seed(0)", "the seed of torch's global generator"),
    "directory": ("os.chdir('/')", "the working directory"),
    "closed": ("os.close(1)", "file descriptor 1"),
    "redirected": ("os.dup2(os.open(os.devnull, os.O_WRONLY), 1)", "file descriptor 1"),
    "stdout": ("sys.stdout = open(os.devnull, 'w')", "sys.stdout"),
    "handler": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "the handler of SIGTERM"),
}
"""What a process has once, and how a note calls its change."""


def process():
    """The state of the process as a tuple."""
    return (
        torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), torch.initial_seed(),
        Path.cwd(), os.fstat(1).st_ino, sys.stdout, signal.getsignal(signal.SIGTERM),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:unclosed file")
def test_the_state_of_the_process_is_put_back_and_told_once(judged, alone):
    before = process()
    records, notes = judged({name: guest(body) for name, (body, _) in STATES.items()})
    assert process() == before
    told = {n: [note for note in notes if words in note and f"'{n}'" in note] for n, (_, words) in STATES.items()}
    assert {name: lines for name, lines in told.items() if len(lines) != 1} == {}
    assert records["identity"].result_hash == alone


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("when", ["import", "construction", "attach"])
def test_the_state_of_the_process_is_put_back_after_a_component_is_loaded(
    plugins: Plugins, tmp_path, monkeypatch, when
):
    monkeypatch.chdir(tmp_path)
    NOTES.forget()
    torch.manual_seed(20_170_828)  # not what the component sets
    before, all_of_it = process(), "\n".join(body for name, (body, _) in STATES.items())
    source = {
        "import": f"{all_of_it}\nclass Cheat(Guest):\n    pass\n",
        "construction": f"class Cheat(Guest):\n    def __init__(self):\n        super().__init__()\n{indented(all_of_it, 8)}\n",
        "attach": f"class Cheat(Guest):\n    def attach(self, backbone):\n{indented(all_of_it, 8)}\n",
    }[when]
    components, cells = components_of(plugins, tmp_path, SUITE, source)
    components.of(cells[0])
    assert process() == before
    notes = NOTES.take()
    missing = [words for _, words in STATES.values() if not any(words in note and "'cheat'" in note for note in notes)]
    assert missing == []


def test_a_purifier_that_turns_gradients_off_is_not_robust_by_that(judged):
    """The graph of the backbone behind it must still be built."""
    suite = SUITE.replace("steps: 3", "steps: 10, gradient: exact").replace("eps: 0.05", "eps: 0.1")
    records, _ = judged(
        "class Cheat(Guest):\n    def forward(self, x):\n        torch.set_grad_enabled(False)\n        return x\n",
        suite,
    )
    robust = {name: record.summary.robust_accuracy.value for name, record in records.items()}
    assert robust["cheat"] == robust["identity"] < 0.5


ENDS = {
    "exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "quit": ("sys.exit('bye')", "SystemExit: bye"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator": ("raise GeneratorExit('gone')", "GeneratorExit: gone"),
    "own": ("class Mine(BaseException): pass\nraise Mine('own')", "Mine: own"),
}


def test_a_model_that_would_end_the_process_fails_its_cell(judged, alone):
    records, _ = judged({name: guest(body) for name, (body, _) in ENDS.items()})
    assert untold(records, ENDS) == {}
    assert records["identity"].result_hash == alone


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("when", ["import", "construction"])
def test_a_component_that_would_end_the_process_is_one_line(judged, name, when):
    body, words = ENDS[name]
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    made = f"class Cheat(Guest):\n    def __init__(self):\n{lines}\n"
    with refused(InputError, problem=some(words), component="purifier 'cheat'"):
        judged(made if when == "construction" else f"class Cheat(Guest):\n    pass\n{body}\n")


HONEST = {
    "lazy-tensor": "if getattr(self, 'grid', None) is None:\n    self.grid = torch.ones(3)",
    "lazy-module": "self.__dict__.setdefault('cache', {})['blur'] = nn.AvgPool2d(3)",
    "counter": "self.asked = getattr(self, 'asked', 0) + 1",
    "own-hook": "h = self.backbone.register_forward_hook(lambda m, i, o: None)\nself.backbone(torch.zeros(2, 1, 28, 28))\nh.remove()",
    "no-grad": "with torch.no_grad():\n    self.backbone(torch.zeros(2, 1, 28, 28))",
    "draws": "torch.rand(3), random.random()",
}


def test_honest_memory_fails_no_cell_and_is_no_news(judged, alone):
    records, notes = judged({name: guest(body) for name, body in HONEST.items()})
    assert {name: record.error for name, record in records.items() if record.status != "done"} == {}
    assert records["identity"].result_hash == alone
    assert notes == []


COUNTS = """
CALLS, HELD = 0, [0]

class Cheat(Guest):
    calls = 0

    def __init__(self, *, kind: int = 1):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        global CALLS
        CALLS += 1
        HELD[0] += 1
        Cheat.calls += 1
        return x
"""


def components_of(plugins, tmp_path, text, source=COUNTS, **points):
    plugins.add("cheats", {"cheating": HEAD + source}, {"rbench.purifiers": {"cheat": "cheating:Cheat"}, **points})
    (tmp_path / "s.yaml").write_text(text)
    return Components(torch.device("cpu")), plan(load_suite(tmp_path / "s.yaml")).cells


def test_a_counter_of_a_class_or_module_does_not_reach_the_next_row(plugins: Plugins, tmp_path):
    text = SUITE.replace("cheat, identity", "{name: cheat, as: a}, {name: cheat, kind: 2, as: b}")
    components, cells = components_of(plugins, tmp_path, text)
    first = components.of(cells[1]).model
    module = sys.modules["cheating"]
    first.purifier(torch.zeros(2, 1, 28, 28))
    assert (module.CALLS, module.HELD, module.Cheat.calls) == (1, [1], 1)
    components.of(cells[2])
    assert (module.CALLS, module.HELD, module.Cheat.calls) == (0, [0], 0)


def test_every_defended_model_has_a_backbone_of_its_own_and_only_one_is_kept(plugins: Plugins, tmp_path):
    text = SUITE.replace("cheat, identity", "cheat, identity, bit-depth").replace("}]", "}, {name: noise}]")
    components, cells = components_of(plugins, tmp_path, text)
    loaded = [components.of(cell) for cell in cells]
    backbones = {id(one.model.backbone): one.model.backbone for one in loaded}
    assert len(cells) == 6
    assert len(backbones) == 3
    assert all(loaded[i].model is loaded[i + 1].model and loaded[i].audits is loaded[i + 1].audits for i in (0, 2, 4))
    pointers = [{p.data_ptr() for p in backbone.parameters()} for backbone in backbones.values()]
    assert not set.intersection(*pointers)
    gone = weakref.ref(loaded[0].model.backbone)
    del loaded, backbones
    gc.collect()
    assert gone() is None


UNCOPIED = """
from threading import Lock

class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = nn.Linear(784, 10)
        if kind == "lock":
            self.lock = Lock()
        elif kind == "closure":
            self.layer.register_forward_hook(lambda m, i, o: self.layer.weight.sum() * 0 + o)
        elif kind == "itself":
            Net.__deepcopy__ = lambda self, memo: self

    def forward(self, x):
        return self.layer(x.flatten(1))

def net(kind: str):
    torch.manual_seed(3)
    return Net(kind)
"""


@pytest.mark.parametrize("kind", ["lock", "closure", "itself"])
def test_a_backbone_that_cannot_be_copied_is_loaded_afresh(plugins: Plugins, tmp_path, kind):
    text = SUITE.replace("bundled:fashion-cnn", f"net:{kind}")
    points = {"rbench.backbones": {"net": "cheating:net"}}
    components, cells = components_of(plugins, tmp_path, text, COUNTS + UNCOPIED, **points)
    first, second = (components.of(cell).model.backbone for cell in cells)
    first.layer.weight.data.zero_()
    assert float(second.layer.weight.abs().sum()) > 0
    assert first.layer is not second.layer
    for net in (first, second):  # a hook works on the network that it is asked for
        for hook in net.layer._forward_hooks.values():
            assert hook.__closure__[0].cell_contents is net


def test_a_transfer_attack_is_crafted_on_a_backbone_of_its_own(tmp_path):
    text = SUITE.replace("cheat, identity", "bit-depth").replace(
        "{name: pgd, steps: 3}", "{name: transfer, steps: 2, source: bundled:fashion-cnn}"
    )
    (tmp_path / "s.yaml").write_text(text)
    components, cells = Components(torch.device("cpu")), plan(load_suite(tmp_path / "s.yaml")).cells
    loaded = components.of(cells[0])
    assert loaded.source is not None
    assert loaded.source.backbone is not loaded.model.backbone
    assert isinstance(loaded.source.backbone, nn.Module)


class Reaching(nn.Module):
    """Does something to what it can reach when it is asked by an attack."""

    stochastic = False

    def __init__(self, reach):
        super().__init__()
        self.reach, self.kept = reach, []

    def attach(self, backbone):
        self.kept = [backbone]

    def forward(self, x):
        self.reach(self.kept[0])
        return x


def tiny():
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    return net, x, net(x).argmax(1).detach()


REACHES = {
    "hook": lambda net: net.register_forward_hook(lambda m, i, o: o * 0),
    "patch": lambda net: setattr(nn.Linear, "forward", lambda layer, x: x[:, :3]),
    "weights": lambda net: net[1].weight.data.mul_(1.01),
}


@pytest.mark.parametrize("name", REACHES)
def test_evaluate_judges_a_copy_of_the_backbone_and_refuses_a_purifier_that_reaches_it(name):
    net, x, y = tiny()
    before = evaluate(net, x, y, eps=0.05, steps=2).result_hash
    with pytest.raises(CellFailed):
        evaluate(net, x, y, purifier=Reaching(REACHES[name]), eps=0.05, steps=2)
    assert undo_patches() == []
    assert evaluate(net, x, y, eps=0.05, steps=2).result_hash == before


def test_evaluate_refuses_a_purifier_that_patched_torch_when_it_was_made():
    net, x, y = tiny()
    nn.Linear.forward = lambda layer, x: x[:, :3]
    with refused(CellFailed, problem=some("torch.nn.Linear.forward"), component="purifier"):
        evaluate(net, x, y, purifier=nn.Identity(), eps=0.05, steps=2)
    assert undo_patches() == []


def test_evaluate_warns_of_a_changed_state_of_the_process():
    net, x, y = tiny()
    NOTES.forget()
    with pytest.warns(UserWarning, match=r"changed torch's default dtype \(to torch\.float64\)"):
        evaluate(net, x, y, purifier=Reaching(lambda net: torch.set_default_dtype(torch.float64)), eps=0.05, steps=2)
    assert torch.get_default_dtype() == torch.float32
