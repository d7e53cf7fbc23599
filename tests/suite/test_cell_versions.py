"""The version of a component follows what its code computes, and nothing else: the properties that ids stand on."""

import importlib.machinery
import json
import py_compile

import pytest
from fake_plugins import Plugins, forget

from rbench.registry import bind, registry
from rbench.registry.registry import registry as registry_of
from rbench.signature import source, version
from rbench.suite.cell import Cell, lasting
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

PURIFIER = '''
"""A purifier."""
import math
from nets import Net
from helpers.levels import LEVELS as levels

class Mine:
    """Mine."""
    stochastic = False
    def __init__(self, *, strength: float = 0.1):
        # strength of the transform
        self.net = Net(levels, math.floor(strength))
'''
NETS = '''
"""Networks."""
from helpers import levels

class Net:
    width = 8

    def __init__(self, *parts):
        self.parts = parts
'''
LEVELS = "LEVELS = 16\n"
OTHER = "class Other:\n    'Another.'\n    stochastic = False\n"
FILES = {"mine": PURIFIER, "nets": NETS, "helpers/__init__": "", "helpers/levels": LEVELS, "other": OTHER}
POINTS = {"rbench.purifiers": {"mine": "mine:Mine", "other": "other:Other"}}


@pytest.fixture
def installed(plugins: Plugins):
    """Two purifiers of one distribution; called with changed files it gives the versions of both."""
    plugins.add("tiny-nets", FILES, POINTS)

    def versions(**changed: str) -> tuple[str, str]:
        for name, text in {**FILES, **{name.replace("__", "/"): text for name, text in changed.items()}}.items():
            (plugins.folder / f"{name}.py").write_text(text, encoding="utf-8")
        forget()
        return tuple(registry("purifier").get(name).source_version for name in ("mine", "other"))

    return versions


FOR_TYPES = "import json\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import other"
SAME = {
    "comment": {"mine": PURIFIER + "\n# a comment\n"},
    "docstring": {"mine": PURIFIER.replace('"""Mine."""', '"""Mine, said otherwise.\n\n    At length.\n    """')},
    "attribute docstring": {"nets": NETS.replace("    width = 8\n", "    width = 8\n    'Of every layer.'\n")},
    "layout": {
        "mine": PURIFIER.replace("    stoch", "\n\n    stoch").replace("Net(levels, ", "Net(\n            levels,\n")
    },
    "renamed import": {"mine": PURIFIER.replace("LEVELS as levels", "LEVELS as n").replace("Net(levels", "Net(n")},
    "renamed module": {"mine": PURIFIER.replace("import math", "import math as m").replace("math.floor", "m.floor")},
    "type checking": {"mine": PURIFIER.replace("import math", f"import math\n{FOR_TYPES}")},
    "moved": {"mine": PURIFIER.replace("from nets", "from fresh.place"), "fresh__place": NETS, "nets": ""},
    "moved helper": {
        "mine": PURIFIER.replace("helpers.levels", "elsewhere"),
        "nets": NETS.replace("helpers import levels", "elsewhere import LEVELS"),
        "elsewhere": LEVELS,
    },
}


@pytest.mark.parametrize("changed", SAME.values(), ids=SAME)
def test_what_computes_the_same_has_the_same_version(installed, changed, plugins):
    (plugins.folder / "fresh").mkdir()
    assert installed(**changed) == installed()


@pytest.mark.parametrize(
    "changed",
    [
        {"mine": PURIFIER.replace("0.1", "0.2")},
        {"mine": PURIFIER.replace("math.floor", "math.ceil")},
        {"mine": PURIFIER.replace("import math", "import cmath as math")},
        {"nets": NETS.replace("8", "9")},
        {"helpers__levels": "LEVELS = 17\n"},
        {"mine": PURIFIER.replace("helpers.levels", "helpers.others"), "helpers__others": "LEVELS = 17\n"},
        {"nets": NETS + "\ndef late():\n    from helpers.late import FACTOR\n", "helpers__late": "FACTOR = 2\n"},
    ],
    ids=[
        "default",
        "call",
        "another library",
        "second module",
        "helper of a helper",
        "another module",
        "in a function",
    ],
)
def test_a_change_of_what_is_computed_changes_exactly_the_versions_of_those_that_use_it(installed, changed):
    before, after = installed(), installed(**changed)
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_changed_constant_behind_an_import_in_a_function_counts(installed):
    late = {"nets": NETS + "\ndef late():\n    from helpers.late import FACTOR\n    return FACTOR\n"}
    assert installed(**late, helpers__late="FACTOR = 2\n")[0] != installed(**late, helpers__late="FACTOR = 3\n")[0]


def test_two_imports_that_change_places_are_told_apart(installed):
    swapped = "from {} import part as a\nfrom {} import part as b\n"
    both = {"one": "part = 1\n", "two": "part = 2\n"}
    first = installed(**both, nets=NETS + swapped.format("one", "two") + "c = a\n")
    assert first[0] != installed(**both, nets=NETS + swapped.format("two", "one") + "c = a\n")[0]


def test_modules_that_import_each_other_come_to_an_end(installed):
    circle = {"helpers__levels": "import nets\nLEVELS = 16\n"}
    before = installed(**circle)
    assert before == installed(**circle)
    assert before[0] != installed(helpers__levels="import nets\nLEVELS = 17\n")[0]


def test_a_module_of_another_distribution_does_not_count(plugins: Plugins):
    listed = {"used": "SIZE = 1\n"}
    plugins.add("used", listed, {})
    plugins.add(
        "user", {"user": "from used import SIZE\nclass User:\n    pass\n"}, {"rbench.purifiers": {"user": "user:User"}}
    )
    for name in ("used", "user"):
        info = plugins.folder / f"{name}-0.2.0.dist-info"
        (info / "RECORD").write_text(f"{name}.py,,\n{info.name}/METADATA,,\n", encoding="utf-8")
    forget()
    before = registry("purifier").get("user").source_version
    (plugins.folder / "used.py").write_text("SIZE = 2\n", encoding="utf-8")
    forget()
    assert registry("purifier").get("user").source_version == before


def test_of_a_compiled_module_the_file_is_hashed(installed, plugins: Plugins):
    def compiled(text: str) -> str:
        written = plugins.folder / "nets.py"
        written.write_text(text, encoding="utf-8")
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(written), cfile=str(plugins.folder / "nets.pyc"), doraise=True, invalidation_mode=mode)
        written.unlink()
        forget()
        return registry("purifier").get("mine").source_version

    assert ".pyc" in importlib.machinery.BYTECODE_SUFFIXES
    before = compiled(NETS)
    assert before == compiled(NETS)
    assert before != compiled(NETS.replace("8", "9"))


def test_the_version_of_the_distribution_is_no_part_of_a_cell(write, plugins: Plugins):
    ids = [cell.id for cell in plan(load_suite(write())).cells]
    info = plugins.folder / "tiny_parts-0.2.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-parts\nVersion: 0.3.0\n", encoding="utf-8")
    info.rename(plugins.folder / "tiny_parts-0.3.0.dist-info")
    forget()
    assert registry("purifier").get("smooth").version == "0.3.0"
    assert [cell.id for cell in plan(load_suite("s.yaml")).cells] == ids


# --- components of rbench -----------------------------------------------------------------------------------------

KINDS = ("purifier", "backbone", "dataset", "attack", "network", "objective")


def versions() -> dict[str, str]:
    return {name: registry(kind).get(name).source_version for kind in KINDS for name in registry(kind).names()}


@pytest.mark.parametrize(
    ("module", "users"),
    [
        ("rbench.purifiers.samplers", {"diffpure", "gdmp"}),
        ("rbench.purifiers.diffusion", {"diffpure", "gdmp"}),
        ("rbench.purifiers.jpeg_surrogate", {"jpeg", "jpeg-differentiable", "pixel-deflection"}),
        (
            "rbench.attacks.pgd",
            {"pgd", "fgsm", "apgd", "transfer", "latent", "decoder", "feature", "adaptive", "autoattack"},
        ),
        ("rbench.attacks.square", {"square", "adaptive", "autoattack"}),
        ("rbench.backbones.architectures.fashion_cnn", {"fashion-cnn"}),
        ("rbench.networks.unet", {"unet"}),
        ("rbench.engine.oracle", set()),
        ("rbench.suite.cell", set()),
    ],
)
def test_an_edit_changes_exactly_the_components_that_use_it(module, users, monkeypatch):
    forget()
    before = versions()
    text = source.read(module)
    edited = source.Source(module, text.text + "\n_ADDED = 1\n", text.is_package)
    real = source.read
    monkeypatch.setattr(version, "read", lambda name: edited if name == module else real(name))
    version._outline.cache_clear()
    registry_of.cache_clear()
    after = versions()
    forget()
    assert {name for name in before if before[name] != after[name]} == users


def test_a_comment_in_any_module_of_rbench_changes_nothing(monkeypatch):
    forget()
    before = versions()
    real = source.read

    def commented(name: str) -> source.Source:
        found = real(name)
        return source.Source(
            name, f'"""Another docstring."""\n# a comment\n{found.text}\n# the end\n', found.is_package
        )

    monkeypatch.setattr(version, "read", commented)
    version._outline.cache_clear()
    registry_of.cache_clear()
    assert versions() == before
    forget()


# --- what else is in an id, and what is not -----------------------------------------------------------------------

OWN = """\
suite: own
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 8/255}
backbones: [bundled:fashion-cnn]
attacks:
  - {name: adaptive, batch_size: 64}
  - {name: autoattack, batch_size: 64}
"""


def planned(text: str, tmp_path) -> dict[str, Cell]:
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    return {cell.attack.name: cell for cell in plan(load_suite(tmp_path / "own.yaml")).cells}


def test_a_batch_size_is_part_of_a_cell_only_where_it_changes_the_outcome(tmp_path):
    one, other = planned(OWN, tmp_path), planned(OWN.replace("64", "32"), tmp_path)
    assert one["adaptive"].id == other["adaptive"].id
    assert one["autoattack"].id != other["autoattack"].id
    assert other["adaptive"].attack.given_params["batch_size"] == 32, "it still decides how fast the attack runs"


def test_a_threat_has_a_kind(tmp_path):
    document = planned(OWN, tmp_path)["adaptive"].document()
    assert document["threat"] == {"kind": "ball", "norm": "Linf", "eps": "8/255"}


def test_the_head_of_a_backbone_brings_the_code_that_puts_it_there(tmp_path):
    bare = planned(OWN, tmp_path)["adaptive"].backbone
    headed = OWN.replace("bundled:fashion-cnn]", "{name: bundled:fashion-cnn, head: bundled:fashion-cropd-head}]")
    assert planned(headed, tmp_path)["adaptive"].backbone.version != bare.version


def test_the_network_of_a_weights_file_is_part_of_a_version(monkeypatch):
    def versions() -> list[str]:
        forget()
        return [
            bind("purifier", name, {"weights": f"bundled:{weights}"}).version()
            for name, weights in (("cropd", "fashion-cropd"), ("diffpure", "fashion-ddpm"))
        ]

    before, real = versions(), source.read
    edited = source.Source("rbench.networks.unet", real("rbench.networks.unet").text + "\n_ADDED = 1\n", False)
    monkeypatch.setattr(version, "read", lambda name: edited if name == edited.name else real(name))
    after = versions()
    assert after[0] == before[0], "an auto-encoder is no U-Net"
    assert after[1] != before[1]


def test_cells_of_older_runs_last(tmp_path):
    now = planned(OWN, tmp_path)["autoattack"].document()
    then = json.loads(json.dumps(now))
    del then["threat"]["kind"]
    then["backbone"] |= {"version": "rbench 0.1.0+0123456789ab", "files": {"fashion-cnn.safetensors": "other"}}
    assert then != now
    assert lasting({**then, "id": "old", "labels": {}}) == lasting(now)
    then["attack"]["params"]["version"] = "plus"
    assert lasting(then) != lasting(now)
