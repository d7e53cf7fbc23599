"""`python:FILE.py:NAME`: described from its text, run only if it is trusted, and refused in one line where it is none."""

import os
import py_compile
import sys
from pathlib import Path
from types import ModuleType

import pytest
from own_files import SHADES
from parts import ANY, refused, some
from small_runs import rbench

from rbench import own_code
from rbench.engine.patches import of_package
from rbench.errors import InputError, MissingError
from rbench.registry import bind, load, registry
from rbench.registry.own import usual_label
from rbench.registry.trust import let_run, own_code_in
from rbench.signature import ParameterError
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.suite.resolve import resolve_part

TWO = """
suite: two
dataset: {name: fashion-mnist-mini, samples: 2}
threat: {norm: Linf, eps: 0.1}
backbones: ["bundled:fashion-cnn"]
purifiers: ["python:dims.py:Dim", {name: "python:other.py:Dim", by: 3}]
attacks: [fgsm]
"""


def trust(*names):
    let_run(own_code_in(list(names)))


def version(name="python:dims.py:Dim"):
    return registry("purifier").get(name).source_version


def test_it_is_described_from_its_text_and_not_run(own):
    component = registry("purifier").get("python:dims.py:Dim")
    assert component.doc.startswith("Darker images.")
    assert component.facts() == {"stochastic": False}
    assert [(p.name, p.default) for p in component.signature().parameters] == [("by", 90), ("table", None)]
    assert (component.needs_trust, component.has_hook("files"), component.written_names()) == (
        True,
        False,
        ["python:dims.py:Dim"],
    )
    assert bind("purifier", "python:dims.py:Dim", {"by": 3}).arguments == {"by": 3, "table": None}
    assert bind("purifier", "python:dims.py:dim", {"by": 3}).arguments == {"by": 3}
    with refused(ParameterError, component=ANY, place="by", problem=some("int from 1 to 100"), found="0"):
        bind("purifier", "python:dims.py:Dim", {"by": 0})
    assert not own.ran


def test_it_runs_where_it_is_trusted_and_nowhere_else(own):
    name = "python:dims.py:Dim"
    with refused(component=f"purifier '{name}'", problem=some("only if you say so"), remedy=some("--trust")):
        load("purifier", name)
    assert not own.ran
    trust(name)
    assert load("purifier", name, {"by": 50}).by == 0.5
    assert own.ran
    with refused(problem=some("only if you say so"), remedy=ANY, component=ANY):
        load("purifier", "python:dims.py:dim")


@pytest.mark.parametrize("kind", ["purifier", "backbone", "dataset", "attack"])
def test_every_kind_of_a_suite_may_be_of_the_users_own_code(own, kind):
    trust("python:dims.py:dim")
    assert load(kind, "python:dims.py:dim", {"by": 20}).by == 0.2
    assert resolve_part(kind, "python:dims.py:dim", {}).name == "python:dims.py:dim"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("python:dims.py:Dim", "Dim"),
        ("python:/home/me/nets.py:Net", "Net"),
        ("python:pkg.nets:Net", "Net"),
        ("python:pkg.nets", "pkg.nets"),
        ("python:dims.py:", "python:dims.py:"),
        ("timm:resnet18", "timm:resnet18"),
        ("jpeg", "jpeg"),
    ],
)
def test_tables_call_it_by_its_class_or_function(name, label):
    assert usual_label(name) == label


def test_two_of_one_name_in_a_suite_want_labels(own):
    own.write("other.py", own.folder.joinpath("dims.py").read_bytes())
    own.write("suite.yaml", TWO)
    with refused(place=ANY, component=ANY, problem=some("'Dim' is taken"), remedy=some("`as:`")):
        plan(load_suite(Path("suite.yaml"), ()))


def test_other_kinds_may_not(own):
    with refused(component="network 'python'", remedy=some("Known: ")):
        registry("network").get("python:dims.py:Dim")


def test_a_module_of_a_package_of_the_current_folder_is_found_with_and_without_an_init(own):
    own.write("pkg/deep/nets.py", "from pkg.deep.parts import Net\n")
    own.write("pkg/deep/parts.py", "class Net:\n    'One.'\n")
    trust("python:pkg.deep.nets:Net")
    assert type(load("purifier", "python:pkg.deep.nets:Net")).__name__ == "Net"
    own.write("whole/__init__.py", "")
    own.write("whole/nets.py", "class Net:\n    'Two.'\n")
    assert registry("backbone").get("python:whole.nets:Net").doc == "Two."


def test_the_version_is_of_the_text_and_of_what_it_imports_beside_it_wherever_that_lies(own, tmp_path):
    first = version()
    for name in ("dims.py", "shades.py"):
        own.write(f"there/{name}", (own.folder / name).read_bytes() + b"\n# a remark\n")
    own_code.forget()
    os.chdir(own.folder / "there")
    part = resolve_part("purifier", "python:dims.py:Dim", {})
    os.chdir(own.folder)
    assert part.version == f"dims.py+{first}"
    away = resolve_part("purifier", f"python:{own.folder / 'there' / 'dims.py'}:Dim", {})
    assert (away.document(), away.label) == (part.document(), "Dim")
    assert str(tmp_path) not in str(away.document())


def test_the_version_follows_a_module_beside_it(own, monkeypatch):
    name = "python:dims.py:Dim"
    first = version(name)
    other = own.write("other/shades.py", "def share(percent):\n    return percent / 50\n").parent
    own.write("other/dims.py", (own.folder / "dims.py").read_bytes())
    own_code.forget()
    monkeypatch.chdir(other)
    assert version(name) != first


def test_the_files_of_its_paths_are_part_of_a_cell(own):
    own.write("table.txt", "1")
    part = resolve_part("purifier", "python:dims.py:Dim", {"table": "table.txt"})
    assert list(part.files) == ["table.txt"]
    assert not own.ran


HOOKED = """
from pathlib import Path

Path("ran").touch()

def files(name):
    return [Path(f"{name}.txt")]

def net(*, name: str):
    "A net."
"""


def test_what_only_its_hooks_know_is_asked_of_them_once_it_is_trusted(own):
    own.write("hooked.py", HOOKED)
    own.write("a.txt", "a")
    assert registry("backbone").get("python:hooked.py:net").has_hook("files")
    with refused(component=ANY, problem=some("only if you say so"), remedy=ANY):
        resolve_part("backbone", "python:hooked.py:net", {"name": "a"})
    assert not own.ran
    trust("python:hooked.py:net")
    assert list(resolve_part("backbone", "python:hooked.py:net", {"name": "a"}).files) == ["a.txt"]


def test_what_has_changed_since_it_was_trusted_is_refused(own):
    trust("python:dims.py:Dim")
    own.write("dims.py", (own.folder / "dims.py").read_text().replace("90", "80"))
    with refused(component=ANY, problem=some("has changed since it was trusted"), remedy=ANY):
        load("purifier", "python:dims.py:Dim")
    assert not own.ran
    trust("python:dims.py:Dim")
    assert load("purifier", "python:dims.py:Dim").by == 0.8
    own.write("dims.py", (own.folder / "dims.py").read_text().replace("80", "70"))
    trust("python:dims.py:Dim")
    assert load("purifier", "python:dims.py:Dim").by == 0.7, "an edited file is another module"


def test_compiled_code_beside_a_text_is_not_run_in_its_place(own):
    path = own.write("pair.py", "def made(): return 'good'\n")
    status = path.stat()
    path.write_text("def made(): return 'evil'\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    py_compile.compile(str(path), doraise=True)
    path.write_text("def made(): return 'good'\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    own.write("uses.py", "import pair\ndef made(): return pair.made()\n")
    trust("python:pair.py:made", "python:uses.py:made")
    assert load("purifier", "python:pair.py:made") == "good"
    assert load("purifier", "python:uses.py:made") == "good"


def test_two_modules_of_one_name_are_refused(own):
    own.write("other/shades.py", SHADES_OF_OTHERS)
    own.write("other/nets.py", "import shades\nclass Net:\n    'One.'\n")
    version()
    with refused(component=ANY, problem=some("rename one"), remedy=ANY):
        version("python:other/nets.py:Net")


SHADES_OF_OTHERS = "def share(percent):\n    return 0\n"


def test_a_module_that_is_there_already_from_elsewhere_is_no_stand_in(own, monkeypatch):
    there = ModuleType("shades")
    there.__file__ = str(own.write("elsewhere.txt", "share = None"))
    there.share = lambda percent: 1
    monkeypatch.setitem(sys.modules, "shades", there)
    trust("python:dims.py:Dim")
    with refused(component=ANY, problem=some("imports 'shades', which this process has of another place"), remedy=ANY):
        load("purifier", "python:dims.py:Dim")


BROKEN = {
    "error": ("raise ImportError('no')", "ImportError: no"),
    "exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "gone": ("import os\nos._exit(0)", "it ended the process that it was tried in (exit code 0)"),
    "attribute": ("from dims import *", "failed to import"),
    "relative": ("from . import shades", "relative import"),
    "number": ("X = 3", "is no class or function: broken.py:X"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_code_that_breaks_or_ends_at_import_is_one_line(own, case):
    text, words = BROKEN[case]
    own.write("broken.py", f"{text}\n" if case in ("attribute", "number") else f"{text}\nclass X: ...\n")
    trust("python:broken.py:X")
    with refused(component="purifier 'python:broken.py:X'", problem=some(words), remedy=ANY):
        load("purifier", "python:broken.py:X")


def test_a_missing_library_is_an_environment_that_lacks_it(own):
    own.write("broken.py", "import not_on_this_machine\nclass X: ...\n")
    trust("python:broken.py:X")
    with refused(MissingError, component=ANY, problem=some("No module named 'not_on_this_machine'"), remedy=ANY):
        load("purifier", "python:broken.py:X")


WRONG = {
    "dims.py": ("no name of a class or function", "Write python:dims.py:Dim."),
    "": ("no name of a class or function", "Write python:FILE.py:NAME or python:PACKAGE.MODULE:NAME."),
    "dims.py:": ("no name of a class or function", "Write python:"),
    "dims.py:Dim()": ("no name of a class or function", "Write python:"),
    "dims.py:Dimm": ("dims.py has no 'Dimm'", "Did you mean"),
    "dims.py:Wolf": ("dims.py has no 'Wolf'", "It has Dim, dim."),
    "dim.py:Dim": ("no such file: dim.py", "Did you mean 'dims.py'?"),
    "gone/away.py:Dim": ("no such file: gone/away.py", "A relative path begins in the current folder."),
    "folder.py:Dim": ("is a folder: folder.py", "Write python:"),
    "./notes.txt:Dim": ("is no .py file: ./notes.txt", "Write python:"),
    "syntax.py:X": ("syntax.py:2 is no Python", None),
    "bytes.py:X": ("bytes.py", None),
    "empty.py:X": ("empty.py has no 'X'", "It defines no class and no function."),
    r"C:\nets\net.py:Net": (r"no such file: C:\nets\net.py", "A relative path begins in the current folder."),
    r"C:\nets\net.py": ("no name of a class or function", "Write python:FILE.py:NAME"),
    "os:system": ("'os' is no code of yours: it comes with Python", "Write python:"),
    "rbench.api:load": ("'rbench.api' is no code of yours: it comes with rbench", "Write python:"),
    "no_such_package.nets:Net": ("No module named 'no_such_package'", "Write python:"),
    "my pkg:Net": ("'my pkg' is neither a .py file nor a module", "Write python:"),
    "a\0b.py:Net": ("b.py", ANY),
}


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_code_is_told_in_one_line(own, given):
    words, remedy = WRONG[given]
    (own.folder / "folder.py").mkdir()
    own.write("notes.txt", "no code")
    own.write("syntax.py", "x = 1\ndef (\n")
    own.write("bytes.py", b"# -*- coding: utf-8 -*-\nx = '\xff'\n")
    own.write("empty.py", "")
    with refused(component=ANY, problem=some(words), remedy=some(remedy) if isinstance(remedy, str) else remedy):
        registry("purifier").get(f"python:{given}")


def test_code_in_a_folder_of_results_is_refused_also_behind_a_link(own):
    own.write("runs/x/cells.jsonl", "")
    own.write("runs/x/deep/net.py", "class Net: ...")
    own.write("runs/y/suite.yaml", "")
    own.write("runs/y/records/a.json", "")
    own.write("runs/y/net.py", "class Net: ...")
    (own.folder / "link.py").symlink_to(own.folder / "runs/x/deep/net.py")
    (own.folder / "elsewhere").symlink_to(own.folder / "runs/y")
    for given in ("runs/x/deep/net.py", "runs/y/net.py", "link.py", "elsewhere/net.py", "./runs/../link.py"):
        assert own_code_in([f"python:{given}:Net"]) == []
        with refused(component=ANY, problem=some("lies in a folder of results, whose code is never run"), remedy=ANY):
            registry("purifier").get(f"python:{given}:Net")
    os.chdir("runs/y")
    with refused(component=ANY, problem=some("lies in a folder of results"), remedy=ANY):
        registry("purifier").get("python:net:Net")


def test_links_to_other_places_are_followed_and_a_broken_one_is_no_file(own, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "net.py").write_text("import beside\nclass Net:\n    'Far.'\n")
    (tmp_path / "far" / "beside.py").write_text("")
    (own.folder / "link.py").symlink_to(tmp_path / "far" / "net.py")
    (own.folder / "loop.py").symlink_to(own.folder / "loop.py")
    component = registry("purifier").get("python:link.py:Net")
    assert (component.doc, component.file) == ("Far.", (tmp_path / "far" / "net.py").resolve())
    assert "beside" in component.modules
    assert registry("purifier").get("python:../far/net.py:Net").doc == "Far."
    with pytest.raises(InputError):
        registry("purifier").get("python:loop.py:Net")


HINTS = {
    "dims.py": "Code of your own has another name. Write python:dims.py:Dim.",
    "gone.py": "Write python:FILE.py:NAME or python:PACKAGE.MODULE:NAME.",
    "dims.py:Dim": "Code of your own has another name. Write python:dims.py:Dim.",
    "my_pkg.nets:Net": "Code of your own has another name. Write python:my_pkg.nets:Net.",
    r"C:\nets\net.py:Net": r"Code of your own has another name. Write python:C:\nets\net.py:Net.",
    "SmallUNet": "A class of your own is written python:FILE.py:SmallUNet.",
}


@pytest.mark.parametrize("name", HINTS)
def test_an_unknown_name_that_looks_like_code_says_how_that_is_written(own, name):
    with refused(component=f"purifier {name!r}", problem=f"unknown purifier {name!r}.", remedy=some(HINTS[name])):
        registry("purifier").get(name)
    with refused(component=ANY, problem=ANY, remedy=some("rbench list networks")):
        registry("network").get(name)


FILES = {
    ("backbone", "net.safetensors"): "{name: file:net.safetensors, architecture: NETWORK}",
    ("backbone", "nets/resnet18.PT"): "{name: file:nets/resnet18.PT, architecture: NETWORK}",
    ("dataset", "mine.npz"): "npz:mine.npz",
    ("dataset", "parquet/mine.parquet"): "parquet:parquet/mine.parquet",
}


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_an_unknown_name_that_looks_like_a_file_says_how_that_is_written(kind, name):
    with refused(component=f"{kind} {name!r}", problem=f"unknown {kind} {name!r}.", remedy=some(FILES[kind, name])):
        registry(kind).get(name)
    with refused(component=f"purifier {name!r}", problem=ANY, remedy=some("rbench list purifiers")):
        registry("purifier").get(name)


def test_names_of_python_itself_are_never_found_beside_the_file(own):
    own.write("random.py", "Path('ran').touch()")
    own.write("uses.py", "import random\ndef made(): return random.__file__\n")
    trust("python:uses.py:made")
    assert Path(load("purifier", "python:uses.py:made")).parent != own.folder


def test_code_that_rewrites_itself_when_it_is_tried_is_not_run(own):
    own.write(
        "self.py",
        "from pathlib import Path\nPath('self.py').write_text(Path('self.py').read_text() + 'Y = 1\\n')\nclass X: ...\n",
    )
    trust("python:self.py:X")
    with refused(component=ANY, problem=some("self.py has changed since it was read"), remedy=ANY):
        load("purifier", "python:self.py:X")


def test_what_it_counts_beside_it_starts_anew_for_another_row(own):
    own.write("shades.py", SHADES + "COUNT = 0\n")
    trust("python:dims.py:Dim")
    load("purifier", "python:dims.py:Dim")
    as_loaded = of_package(registry("purifier").get("python:dims.py:Dim").module)
    sys.modules["shades"].COUNT = 5
    as_loaded.reset()
    assert sys.modules["shades"].COUNT == 0


INVERSE = """
import torch

class Inverse(torch.nn.Module):
    stochastic = False

    def forward(self, x):
        return 1 - x
"""


def test_the_conformance_kit_runs_it_only_with_trust(own, capsys):
    own.write("inverse.py", INVERSE)
    asked = ("check", "purifier", "python:inverse.py:Inverse", "--images", "4", "--shape", "1x8x8")
    assert rbench(*asked) == 2
    assert "add --trust" in capsys.readouterr().err
    assert rbench(*asked, "--trust") == 0
    assert "runs inverse.py:Inverse" in capsys.readouterr().err
